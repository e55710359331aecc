//! Caribe's checks beside keepalived's, in a kernel that has IPVS: Debian's, in an emulated guest.
//!
//! Time there means nothing. But the guest's clock goes by the instructions that it executes, so
//! what its kernel counts as a thread's time goes by them, too. From one boot to another the
//! numbers differ by up to a half; ratios of one boot hardly do, and they are what counts.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caribe_lab::guest::{Guest, Initramfs, Kernel};

use super::inside::{Cost, Program};
use super::{bed, inside};
use crate::page;

/// Where the guest has this program.
const PROGRAM: &str = "/bin/caribe-bench";
/// It boots in half a minute, and a busy machine takes several times that.
const LIMIT: Duration = Duration::from_secs(900);
/// Room for the programs and their servers.
const MEMORY: u32 = 1024;

/// What was found in the guest.
pub(crate) struct Beside {
    release: String,
    costs: Vec<Cost>,
}

/// Boots, and lets them take turns.
pub(crate) fn take_turns(kernels: &Path) -> Result<Beside> {
    let kernel = Kernel::of_debian(kernels)?;
    let mut files = Initramfs::with_busybox()?;
    files.program(Path::new(PROGRAM), &env::current_exe()?)?;
    let places = ["/usr/sbin", "/sbin", "/usr/bin"];
    let mut places = places
        .iter()
        .map(|place| PathBuf::from(place).join("keepalived"));
    let keepalived = places.find(|path| path.is_file());
    let keepalived = keepalived.context("there is no keepalived (apt-get install keepalived)")?;
    files.program(Path::new("/bin/keepalived"), &keepalived)?;
    let mut script = String::new();
    // `libcrc32c` asks for the first by name.
    for module in kernel.modules_for(&["crc32c_generic", "ip_vs", "ip_vs_rr"])? {
        let name = module.file_name().context("a module without a name")?;
        let to = Path::new("/modules").join(name);
        files.file(&to, &module)?;
        script += &format!("insmod {} || exit 1\n", to.display());
    }
    script += &format!("ip route add local {} dev lo || exit 1\n", bed::ANSWERING);
    script += &format!("exec {PROGRAM} {}", inside::COMMAND);
    let said = Guest::new(&kernel)
        .virtual_time()
        .memory(MEMORY)
        .time_limit(LIMIT)
        .run(files, &script)?;
    let costs: Vec<Cost> = said.output.lines().filter_map(Cost::read).collect();
    let all_are_there = Program::ALL.iter().all(|program| {
        let mut costs = costs.iter();
        costs.any(|cost| cost.program == *program)
    });
    ensure!(
        said.status == 0 && all_are_there,
        "the guest did not measure everything: {}",
        said.output
    );
    Ok(Beside {
        release: kernel.release().to_owned(),
        costs,
    })
}

impl Beside {
    fn of(&self, program: Program) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.program == program)
    }

    /// Checks that do the same must cost no more.
    pub(crate) fn holds(&self) -> bool {
        let rival = self.of(Program::Keepalived).map(Cost::instructions);
        let ours = self.of(Program::Whole).map(Cost::instructions);
        ours <= rival
    }

    /// With what keepalived's checker says where it does not run on this machine.
    pub(crate) fn markdown(&self, refusal: Option<&str>) -> String {
        let here = match refusal {
            Some(reason) => format!("here it ends at once: \"{reason}\""),
            None => "it has that here, too".to_owned(),
        };
        let rival = self.of(Program::Keepalived).map(Cost::instructions);
        let rival = rival.unwrap_or_default().max(1);
        let rows: Vec<Vec<String>> = self
            .costs
            .iter()
            .map(|cost| {
                let instructions = cost.instructions();
                let target = match cost.program {
                    Program::Whole => page::verdict(self.holds()),
                    Program::Half | Program::Keepalived => "",
                };
                vec![
                    cost.program.describe().to_owned(),
                    format!("{}", cost.checks / u64::from(inside::SECONDS)),
                    format!("{instructions}"),
                    format!("{:.2}", instructions as f64 / rival as f64),
                    cost.memory
                        .map(|memory| memory.to_string())
                        .unwrap_or_default(),
                    target.to_owned(),
                ]
            })
            .collect();
        let heads = [
            "TCP checks",
            "done a second:",
            "instructions per check:",
            "ratio:",
            "KiB per 1,000:",
            "target",
        ];
        format!(
            "\n### Beside keepalived\n\nkeepalived's checker wants IPVS in the kernel ({here}). \
             So they took turns in Debian's kernel ({}), in an \
             emulated guest whose clock goes by the instructions that it executes: what its \
             kernel counts as a program's time goes by instructions. Boots differ; the ratio of \
             one boot counts. {} \
             servers on the loopback interface, each checked once a second; the servers' half of \
             TCP, which is done by whoever sends, is in all of them. A check that does the same \
             must not cost more than keepalived's.\n\n{}",
            self.release,
            inside::SERVERS,
            page::table(&heads, &rows)
        )
    }
}
