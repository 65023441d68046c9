//! A real packager, fed over its feed port and read over HTTP, against the rules of low-latency HLS.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod archive;
#[cfg(test)]
mod bytes;
#[cfg(test)]
mod catalogue;
#[cfg(test)]
mod cmafin;
#[cfg(test)]
mod cmafin_refusals;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod playlists;
#[cfg(test)]
mod process;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod rewind;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod sealed;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod steering;
#[cfg(test)]
mod subtitles;
#[cfg(test)]
mod thumbnails;
