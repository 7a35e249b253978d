//! Reading and writing npy, HDF5 chunks and Zarr
