//! The built binary as operators, encoders, players and attackers meet it.

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod drill;
#[cfg(test)]
mod events;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod process;
#[cfg(test)]
mod start;
