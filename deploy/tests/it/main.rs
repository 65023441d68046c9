//! The built binary as operators, encoders, players and attackers meet it.

mod crowd;
mod hostile;
mod process;
mod start;
