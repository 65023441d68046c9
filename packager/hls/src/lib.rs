//! Vocabulary of ringside: ids, program time, URL grammar, playlists, the timeline and reload verdicts.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`id`] | what is called how, and which numbers must not swap |
//! | [`time`] | which cell, part and segment a frame belongs to |
//! | [`path`] | what a URL means (the only place that knows) |
//! | [`playlist`] | what a playlist says, as text and back |
//! | [`timeline`] | which parts and segments a stream's playlists list now |
//! | [`reload`] | whether a request is answered now, later or never |
//! | [`vtt`] | what a subtitle segment says, and how cues come |
//! | [`thumbnails`] | which picture belongs to which part of a timeline |
//! | [`delivery`] | how long an answer may be cached |
//! | [`check`] | whether any origin's playlists and answers follow the rules |
//! | [`mod@fuzz`] | what every input must satisfy: for property tests here, and for `fuzz/`, a workspace of its own |
//!
//! # Glossary
//! | term | meaning |
//! |---|---|
//! | *contribution* | what one encoder sends us; not what viewers see |
//! | *rung* | one encoder output of the ladder: a size and a bit rate |
//! | *track* | one media playlist: a rung or an audio rendition |
//! | *rendition* | a track seen from a multivariant playlist |
//! | *program time* | the stream's own clock; frames counted since 2024-01-01T00:00:00Z |
//! | *cell* | one step of the grid, in every track at once; a part is one track's share of a cell |
//! | *part* | a partial segment: the smallest thing a player fetches |
//! | *segment* | a fixed number of cells; its bytes are its parts' bytes |
//! | *MSN* | media sequence number of a segment; a function of program time, so it never resets |
//! | *init segment* | decoder configuration of a track, named by its hash |
//! | *blocking reload* | a playlist request that waits for a named part |
//! | *preload hint* | the URI of the part that comes next; a request for it waits |
//! | *rendition report* | where the other tracks' playlists end |
//! | *part hold back* | how far from the end a player starts |
//! | *delta update* | a playlist without the segments its reader has; made of a full text and merged into one |
//! | *epoch* | life of one ladder: its first cell |
//! | *life* | one ladder's time on air; the next one follows behind an EXT-X-DISCONTINUITY |
//! | *origin* | the packager's HTTP face; *edge* serves viewers from *mirrors* of it |
//! | *mirror* | an edge's copy of one track's live window, kept by one pair of held requests |
//! | *flight* | one upstream fetch shared by all who wait for the same object |
//!
//! # Specifications
//! | name in comments | revision |
//! |---|---|
//! | rfc8216bis | draft-pantos-hls-rfc8216bis-22, 1 May 2026, protocol version 13 |
//! | Apple authoring | HLS Authoring Specification for Apple Devices |
//!
//! # Invariants
//! - No clock, socket, task, randomness or environment; the manifest lists nothing that has them.
//! - Output depends on input alone: two timelines fed the same give the same text.
//! - A published cell never changes.
//! - A segment is of one ladder alone; its discontinuity sequence number is that ladder's ordinal in the stream.

pub mod check;
pub mod delivery;
pub mod fuzz;
pub mod id;
pub mod path;
pub mod playlist;
pub mod reload;
pub mod thumbnails;
pub mod time;
pub mod timeline;
pub mod vtt;
