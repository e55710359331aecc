//! `-v` and `-h`.

/// The version line: scripts look for "ipvsadm v" and "IPVS v".
pub(crate) const VERSION: &str = concat!(
    "ipvsadm v1.31 2019/12/24 (compiled with caribe ",
    env!("CARGO_PKG_VERSION"),
    " and IPVS v1.2.1)\n"
);

/// The version line and what can be typed.
pub(crate) fn text(program: &str) -> String {
    format!(
        "\
{VERSION}Usage:
  {program} -A|-E SERVICE [-s SCHEDULER] [-b FLAGS] [-p [SECONDS]] [-M MASK] [--pe ENGINE] [-o]
  {program} -D SERVICE
  {program} -C
  {program} -R
  {program} -S [-n]
  {program} -a|-e SERVICE -r SERVER [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [TUNNEL]
  {program} -d SERVICE -r SERVER
  {program} -L|-l [SERVICE | -c | --timeout | --daemon] [LISTING]
  {program} -Z [SERVICE]
  {program} --set TCP TCPFIN UDP
  {program} --start-daemon master|backup [DAEMON]
  {program} --stop-daemon master|backup
  {program} -h|-v

Commands:
  -A, --add-service            add a virtual service
  -E, --edit-service           replace the settings of one; what is left out is the default again
  -D, --delete-service         remove one with its servers
  -C, --clear                  remove all
  -R, --restore                run the commands on standard input, one a line
  -S, --save                   print the table as such commands
  -a, --add-server             add a real server to a service
  -e, --edit-server            replace the settings of one
  -d, --delete-server          remove one
  -L, -l, --list               print the table (also without any word)
  -Z, --zero                   zero the counters
      --set TCP TCPFIN UDP     idle timeouts in seconds; 0 leaves one as it is
      --start-daemon ROLE      start a synchronization daemon
      --stop-daemon ROLE       stop one
  -h, --help                   print this
  -v, --version                print the version

SERVICE:
  -t, --tcp-service ADDRESS    ADDRESS:PORT or [ADDRESS]:PORT
  -u, --udp-service ADDRESS
      --sctp-service ADDRESS
  -f, --fwmark-service MARK    1 to 4294967295
  -6, --ipv6                   after -f: of IPv6

Service and server:
  -s, --scheduler NAME         rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos (wlc)
  -b, --sched-flags FLAGS      sh-fallback sh-port mh-fallback mh-port, or flag-1 to flag-3
  -p, --persistent [SECONDS]   send a client's connections to one server (360)
  -M, --netmask MASK           how much of a client's address counts for that
      --pe ENGINE              persistence engine (sip)
  -o, --ops                    schedule every datagram by itself
  -r, --real-server SERVER     ADDRESS[:PORT]
  -g, --gatewaying             direct routing (the default)
  -i, --ipip                   tunnelling
  -m, --masquerading           NAT
  -w, --weight WEIGHT          share of new connections (1); 0 sends none
  -x, --u-threshold UPPER      connections from which on none is sent
  -y, --l-threshold LOWER      connections below which some are sent again

TUNNEL, with -i:
      --tun-type TYPE          ipip gue gre (ipip)
      --tun-port PORT          gue's
      --tun-nocsum, --tun-csum, --tun-remcsum

LISTING:
  -n, --numeric                addresses and ports as numbers
  -c, --connection             connections; with --persistent-conn what engines keep as well
      --timeout                timeouts
      --daemon                 synchronization daemons
      --stats                  counters
      --rate                   rates per second
  -X, --exact                  counters and rates in full
      --thresholds             thresholds
      --persistent-conn        weights and persistent connections
      --tun-info               tunnels
      --nosort                 in the order of the table
      --sort                   changes nothing

DAEMON:
      --mcast-interface NAME   (eth0)
      --syncid NUMBER          0 to 255 (0)
      --sync-maxlen BYTES      1 to 65507 (1472)
      --mcast-group ADDRESS    (224.0.0.81)
      --mcast-port PORT        (8848)
      --mcast-ttl HOPS         (1)
"
    )
}
