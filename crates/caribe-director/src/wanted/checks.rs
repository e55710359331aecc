//! What a configuration says of a check, as a check.

use caribe_config::config::{
    self, BodyMatch, CommandLine as Words, Expectation, Http, LoadMonitor, MonitorKind, Probe, Tls,
    Trust, VirtualService,
};
use caribe_health::probe::agent::AgentCheck;
use caribe_health::probe::command_line::CommandLine;
use caribe_health::probe::dns::{DnsCheck, DnsKind, DnsName};
use caribe_health::probe::expect::Expect;
use caribe_health::probe::grpc::GrpcCheck;
use caribe_health::probe::http::{
    Authority, BodyCheck, Field, HttpCheck, HttpVersion, Method, RequestTarget, StatusRanges,
};
use caribe_health::probe::ping::PingCheck;
use caribe_health::probe::piranha::{self, PiranhaKeys};
use caribe_health::probe::program::{ProgramCheck, ProgramVerdict};
use caribe_health::probe::rstat::RstatCheck;
use caribe_health::probe::rwho::RwhoCheck;
use caribe_health::probe::send_expect::SendExpectCheck;
use caribe_health::probe::smtp::{SmtpCheck, SmtpName};
use caribe_health::probe::tcp::TcpCheck;
use caribe_health::probe::tls::{Identity, TlsCheck, TlsName, TlsOptions, Verify};
use caribe_health::probe::udp::{UdpCheck, UdpExpect};
use caribe_health::probe::{Check, Octets, Pattern};
use caribe_model::Protocol;

/// Why something that a file may say makes no check.
pub(super) type Reason = String;

fn because(error: impl std::fmt::Display) -> Reason {
    error.to_string()
}

/// Piranha's check of a service's servers; `None` when there is none.
pub(super) fn piranha(block: &VirtualService) -> Result<Option<Check>, Reason> {
    let monitor = &block.monitor;
    let (protocol, port) = match monitor.kind {
        MonitorKind::None => return Ok(None),
        MonitorKind::Piranha => (block.protocol, block.port),
        // The same port by TCP, whatever the service is; nothing is guessed about it.
        MonitorKind::Tcp => (Protocol::Tcp, 0),
    };
    let program = monitor.send_program.as_ref();
    // SCTP is pinged whatever is to be sent, unless a program is there to do it.
    let talks = protocol != Protocol::Sctp || program.is_some();
    let keys = PiranhaKeys {
        protocol,
        port,
        send: monitor.send.as_deref().filter(|_| talks),
        expect: monitor.expect.as_deref().filter(|_| talks),
        use_regex: monitor.use_regex,
        send_program: program.map(Words::words),
    };
    keys.check().map(Some).map_err(because)
}

/// The check of a `monitor` block.
pub(super) fn of_block(probe: &Probe) -> Result<Check, Reason> {
    Ok(match probe {
        Probe::Http(http) => of_http(http)?,
        Probe::Syn => Check::Tcp(TcpCheck { orderly: false }),
        Probe::Tcp {
            send: None,
            expect: None,
        } => Check::Tcp(TcpCheck { orderly: true }),
        Probe::Tcp { send, expect } => Check::SendExpect(SendExpectCheck {
            send: send.clone().map(Octets::new),
            expect: expect.as_ref().map(expectation).transpose()?,
        }),
        Probe::Tls(tls) => Check::Tls(TlsCheck {
            tls: tls_options(tls)?,
        }),
        Probe::Udp { payload, expect } => Check::Udp(UdpCheck {
            send: Octets::new(payload.clone()),
            expect: udp(expect.as_ref().map(expectation).transpose()?),
        }),
        Probe::Dns {
            record,
            name,
            answer,
        } => Check::Dns(DnsCheck {
            name: DnsName::try_from(name.clone()).map_err(because)?,
            kind: dns_kind(*record),
            expect: answer.clone(),
        }),
        Probe::Smtp { helo } => Check::Smtp(SmtpCheck {
            name: SmtpName::try_from(helo.clone()).map_err(because)?,
        }),
        Probe::Ping => Check::Ping(PingCheck::default()),
        Probe::Script(words) => Check::Program(ProgramCheck {
            command: command(words)?,
            verdict: ProgramVerdict::Exit,
        }),
        Probe::Grpc { service, tls } => Check::Grpc(GrpcCheck {
            service: service.clone(),
            authority: None,
            tls: tls.as_ref().map(tls_options).transpose()?,
        }),
        Probe::Agent { send } => Check::Agent(AgentCheck {
            send: send.clone().map(Octets::new),
        }),
    })
}

fn of_http(http: &Http) -> Result<Check, Reason> {
    let fields = http
        .headers
        .iter()
        .map(|(name, value)| Field::new(name, value));
    let looks = http.body.iter().map(|wanted| match wanted {
        BodyMatch::Contains(text) => Ok(BodyCheck::Contains(Octets::new(text.as_bytes()))),
        BodyMatch::Regex(text) => Pattern::new(text).map(BodyCheck::Matches).map_err(because),
    });
    Ok(Check::Http(HttpCheck {
        method: method(http.method)?,
        path: RequestTarget::try_from(http.path.clone()).map_err(because)?,
        host: http
            .host
            .clone()
            .map(Authority::try_from)
            .transpose()
            .map_err(because)?,
        headers: fields.collect::<Result<_, _>>().map_err(because)?,
        version: match http.version {
            config::HttpVersion::V1 => HttpVersion::One,
            config::HttpVersion::V2 => HttpVersion::Two,
        },
        tls: http.tls.as_ref().map(tls_options).transpose()?,
        status: http
            .status
            .to_string()
            .parse::<StatusRanges>()
            .map_err(because)?,
        body: looks.collect::<Result<_, Reason>>()?,
    }))
}

fn method(method: config::HttpMethod) -> Result<Method, Reason> {
    let word = match method {
        config::HttpMethod::Get => "GET",
        config::HttpMethod::Head => "HEAD",
        config::HttpMethod::Options => "OPTIONS",
        config::HttpMethod::Post => "POST",
    };
    Method::try_from(word.to_owned()).map_err(because)
}

fn expectation(expectation: &Expectation) -> Result<Expect, Reason> {
    Ok(match expectation {
        Expectation::Anything => Expect::Anything,
        Expectation::Prefix(bytes) => Expect::Prefix(Octets::new(bytes.clone())),
        Expectation::Regex(text) => Expect::Regex(Pattern::new(text).map_err(because)?),
    })
}

fn udp(expect: Option<Expect>) -> UdpExpect {
    match expect {
        Some(expect) => UdpExpect::Answer(expect),
        None => UdpExpect::NoError {
            patience: UdpExpect::PATIENCE,
        },
    }
}

fn tls_options(tls: &Tls) -> Result<TlsOptions, Reason> {
    Ok(TlsOptions {
        server_name: tls
            .server_name
            .clone()
            .map(TlsName::try_from)
            .transpose()
            .map_err(because)?,
        verify: match &tls.trust {
            Trust::Any => Verify::None,
            Trust::System => Verify::System,
            Trust::Issuers(file) => Verify::Authorities(file.clone()),
        },
        identity: tls.identity.as_ref().map(|identity| Identity {
            certificate: identity.certificate.clone(),
            key: identity.key.clone(),
        }),
    })
}

fn dns_kind(record: config::RecordType) -> DnsKind {
    match record {
        config::RecordType::A => DnsKind::A,
        config::RecordType::Aaaa => DnsKind::Aaaa,
        config::RecordType::Cname => DnsKind::Cname,
        config::RecordType::Mx => DnsKind::Mx,
        config::RecordType::Ns => DnsKind::Ns,
        config::RecordType::Ptr => DnsKind::Ptr,
        config::RecordType::Soa => DnsKind::Soa,
        config::RecordType::Srv => DnsKind::Srv,
        config::RecordType::Txt => DnsKind::Txt,
    }
}

fn command(words: &Words) -> Result<CommandLine, Reason> {
    CommandLine::new(words.words().to_vec()).map_err(because)
}

/// Where a server's load comes from.
pub(super) fn load(source: &LoadMonitor) -> Result<Check, Reason> {
    match source {
        LoadMonitor::Rup => Ok(Check::Rstat(RstatCheck::default())),
        LoadMonitor::Ruptime => Ok(Check::Rwho(RwhoCheck::default())),
        LoadMonitor::Uptime { shell } => piranha::uptime(shell.words()).map_err(because),
        LoadMonitor::Agent { .. } => Ok(Check::Agent(AgentCheck::default())),
        LoadMonitor::Program(words) => piranha::load_program(words.words()).map_err(because),
    }
}

#[cfg(test)]
mod tests;
