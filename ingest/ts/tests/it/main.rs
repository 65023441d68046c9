//! Real muxers' streams against ffprobe; hand-made streams; any split, any loss, any bytes.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod mux;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod real;
