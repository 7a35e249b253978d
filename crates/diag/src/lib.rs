//! Progress, event log, graph pictures
