//! The gRPC project's own server, from Debian.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use caribe_health::probe::Code;
use caribe_lab::{Host, Process};

use crate::bed::{Bed, START, assert_says, check, socket};

/// Answers for three services: one well, one unwell, one of a state that nobody knows.
const SERVER: &str = r#"
import sys, time
from concurrent import futures
import grpc

STATES = {b'': b'\x08\x01', b'\x0a\x04shop': b'\x08\x01', b'\x0a\x04sick': b'\x08\x02',
          b'\x0a\x03odd': b'\x08\x63'}

def answer(request, context):
    if request not in STATES:
        context.abort(grpc.StatusCode.NOT_FOUND, 'unknown service')
    return STATES[request]

handler = grpc.method_handlers_generic_handler('grpc.health.v1.Health', {
    'Check': grpc.unary_unary_rpc_method_handler(answer)})
server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
if sys.argv[1] == 'health':
    server.add_generic_rpc_handlers((handler,))
server.add_insecure_port(sys.argv[2])
read = lambda name: open(name, 'rb').read()
if len(sys.argv) > 4:
    credentials = grpc.ssl_server_credentials([(read(sys.argv[5]), read(sys.argv[4]))])
    server.add_secure_port(sys.argv[3], credentials)
server.start()
server.wait_for_termination()
"#;

/// An address that the server takes TLS at, with the files of its certificate and key.
type Secure<'a> = (&'a str, [&'a Path; 2]);

/// Starts a server at an address; with `health` it knows the health protocol.
pub(crate) fn start_on(
    host: &Host,
    kind: &str,
    address: SocketAddr,
    secure: Option<Secure<'_>>,
) -> Process {
    let script = host.file("health.py");
    fs::write(&script, SERVER).expect("a file of the lab");
    let mut command = host
        .command("/usr/bin/python3")
        .package("python3-grpcio")
        .arg(script)
        .args([kind, &address.to_string()]);
    let mut places = vec![address];
    if let Some((address, files)) = secure {
        command = command.arg(address).args(files);
        places.push(socket(address));
    }
    let server = command.spawn().expect("python3");
    for place in places {
        host.wait_until_connects(place, START)
            .unwrap_or_else(|error| panic!("{error}: {}", server.log()));
    }
    server
}

#[test]
fn only_a_service_that_serves_passes() {
    let bed = Bed::new("grpc");
    let authority = crate::certificates::Authority::new(&bed.host.file("grpc"));
    let pair = authority.issue("own", &["127.0.0.1"]);
    let files = [pair.certificate.as_path(), pair.key.as_path()];
    let secure = Some(("127.0.0.1:5443", files));
    let _health = start_on(&bed.host, "health", socket("127.0.0.1:5000"), secure);
    let _other = start_on(&bed.host, "nothing", socket("127.0.0.1:5001"), None);
    for (settings, code, says) in [
        ("", Code::L7Ok, "SERVING"),
        (r#""service":"shop""#, Code::L7Ok, "SERVING"),
        (r#""service":"sick""#, Code::L7Status, "NOT_SERVING"),
        (r#""service":"odd""#, Code::L7Status, "UNKNOWN (99)"),
        (
            r#""service":"none""#,
            Code::L7Status,
            "gRPC status `5`: `unknown service`",
        ),
    ] {
        let check = check(&format!(r#"{{"grpc":{{{settings}}}}}"#));
        assert_says(&bed.sees(code, &check, "127.0.0.1:5000"), says);
    }
    let ca = authority.file();
    let tls = format!(
        r#"{{"grpc":{{"tls":{{"verify":{{"authorities":"{}"}}}}}}}}"#,
        ca.display()
    );
    bed.sees(Code::L7Ok, &check(&tls), "127.0.0.1:5443");
    // A gRPC server that does not know the health protocol.
    let finding = bed.sees(Code::L7Status, &check(r#"{"grpc":{}}"#), "127.0.0.1:5001");
    assert_says(&finding, "gRPC status `12`");
}
