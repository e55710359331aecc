//! ipvsadm as its users know it: the cases of IPVS's conformance list, on a table in memory that
//! answers as the kernel does, and hundreds of command lines compared with the real program.
//!
//! Every case has its number in its name. All of 1 to 63 apply. Two read otherwise than the list
//! says: 1 allows an own version line, which is what is printed; and 62 gets its connections from
//! the kernel at hand, since there is no `/proc/net/ip_vs_conn` to read them from.

mod arguments;
mod kernel;
mod listings;
mod program;
mod real;
mod restoring;
