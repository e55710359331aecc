//! Each probe against the real thing: programs from Debian on a host of their own, and servers
//! that misbehave. Verdict, reason and time are asserted.
#![forbid(unsafe_code)]

mod agent;
mod bed;
mod certificates;
mod dns;
mod grpc;
mod http;
mod load;
mod misbehaving;
mod ping;
mod program;
mod rogue;
mod smtp;
mod through;
mod tls;
mod udp;
mod way;
mod web;
