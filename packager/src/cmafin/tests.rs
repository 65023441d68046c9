//! The machine on encoders that behave, and on those that do not.
