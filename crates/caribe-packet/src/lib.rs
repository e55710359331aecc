//! Packets and tables as bytes: headers, rewriting, checksums, hashing, the state machines and
//! the layout of the maps that the XDP programs share with the director.
//!
//! Everything here is pure and `no_std`. The very same code runs inside the kernel (`caribe-ebpf`
//! is a thin layer of bounds checks and map look-ups over it), in the director, in the tests and
//! in the fuzzers. It holds no map, reads no clock and makes no decision about services.
//!
//! A reader who follows a packet starts at [`ipv4`] and [`transport`]; one who follows a
//! connection starts at [`key`] and [`table`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod chapter;
pub mod checksum;
pub mod classify;
pub mod connection;
pub mod crc32c;
pub mod ecn;
pub mod ethernet;
pub mod event;
pub mod filter;
pub mod fragment;
pub mod gre;
pub mod gue;
pub mod hash;
pub mod icmp;
pub mod inner_sum;
pub mod ipv4;
pub mod ipv6;
pub mod key;
pub mod least;
pub mod locality;
pub mod mss;
pub mod policy;
pub mod sctp_state;
pub mod server;
pub mod service;
pub mod settings;
pub mod state;
pub mod table;
pub mod tcp_state;
pub mod trace;
pub mod transport;
pub mod tunnel;
pub mod verdict;
