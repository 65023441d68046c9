//! The listener against the real ffmpeg, on loopback.

#[cfg(test)]
mod lossy;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod refuse;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod survive;
#[cfg(test)]
mod ts;
