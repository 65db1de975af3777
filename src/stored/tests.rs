//! Real container files in a sink: recognised, read, told from what isn't ours.
