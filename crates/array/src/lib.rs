//! Chunk algebra, array expressions and rewrites, blocks, fusion, lowering
