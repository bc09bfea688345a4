//! End to end, faults and conformance: real servers, real processes.
