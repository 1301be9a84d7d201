//! Kinds of the machine as a whole: reached, busy, and right in its time.

use super::{Bounds, BuiltIn, Direction, Origin, PERCENT, off, on};

const CPU_TIME: (&str, &str) = ("node_cpu_seconds_total", "node_cpu");

pub(super) const SERVICE_DOWN: BuiltIn = BuiltIn {
    name: "service_down",
    title: "Down",
    description: "Prometheus cannot read the server's metrics.",
    unit: "",
    direction: Direction::Zero,
    series: "up",
    recording: None,
    renamed: &[],
    needs: "",
    interval: None,
    bounds: None,
    parameters: &[],
    summary: "Instance {{ $labels.instance }} is down",
    warning: off(None, 60),
    critical: on(None, 60),
    origin: Origin::BuiltIn,
};

pub(super) const CPU: BuiltIn = BuiltIn {
    name: "cpu_threshold_exceeded",
    title: "High CPU use",
    description: "The share of CPU time that was not idle over the last five minutes, \
                  over all cores.",
    unit: "%",
    direction: Direction::Above,
    series: "prommgr:cpu_used:percent",
    recording: Some(r#"100 * (1 - avg without (cpu, mode) (rate(node_cpu_seconds_total{mode="idle"}[5m])))"#),
    renamed: &[CPU_TIME],
    needs: "node_cpu_seconds_total|node_cpu",
    interval: None,
    bounds: Some(PERCENT),
    parameters: &[],
    summary: "CPU of {{ $labels.instance }} is at {{ printf \"%.0f\" $value }} %",
    warning: on(Some(85.0), 300),
    critical: off(Some(95.0), 600),
    origin: Origin::BuiltIn,
};

pub(super) const LOAD: BuiltIn = BuiltIn {
    name: "load_threshold_exceeded",
    title: "High load",
    description: "The load average of the last five minutes, divided by the number of CPU \
                  cores.",
    unit: "per core",
    direction: Direction::Above,
    series: "prommgr:load5:per_core",
    recording: Some(r#"node_load5 / count without (cpu, mode) (node_cpu_seconds_total{mode="idle"})"#),
    renamed: &[CPU_TIME],
    needs: "node_load5",
    interval: None,
    bounds: Some(Bounds { min: 0.1, max: 100.0, step: 0.1 }),
    parameters: &[],
    summary: "Load of {{ $labels.instance }} is {{ printf \"%.2f\" $value }} per core",
    warning: on(Some(2.0), 600),
    critical: off(Some(4.0), 600),
    origin: Origin::BuiltIn,
};

pub(super) const MEMORY: BuiltIn = BuiltIn {
    name: "mem_threshold_exceeded",
    title: "High memory use",
    description: "The share of memory that programs could not get without swapping, as the \
                  kernel estimates it.",
    unit: "%",
    direction: Direction::Above,
    series: "prommgr:mem_used:percent",
    recording: Some("100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"),
    renamed: &[
        ("node_memory_MemAvailable_bytes", "node_memory_MemAvailable"),
        ("node_memory_MemTotal_bytes", "node_memory_MemTotal"),
    ],
    needs: "node_memory_MemAvailable_bytes|node_memory_MemAvailable",
    interval: None,
    bounds: Some(PERCENT),
    parameters: &[],
    summary: "Memory of {{ $labels.instance }} is {{ printf \"%.0f\" $value }} % used",
    warning: on(Some(90.0), 300),
    critical: off(Some(97.0), 300),
    origin: Origin::BuiltIn,
};

pub(super) const SWAP: BuiltIn = BuiltIn {
    name: "swap_threshold_exceeded",
    title: "High swap use",
    description: "The share of swap space that is in use. A machine without swap has none.",
    unit: "%",
    direction: Direction::Above,
    series: "prommgr:swap_used:percent",
    recording: Some("100 * (1 - node_memory_SwapFree_bytes / (node_memory_SwapTotal_bytes > 0))"),
    renamed: &[
        ("node_memory_SwapFree_bytes", "node_memory_SwapFree"),
        ("node_memory_SwapTotal_bytes", "node_memory_SwapTotal"),
    ],
    needs: "node_memory_SwapFree_bytes|node_memory_SwapFree",
    interval: None,
    bounds: Some(PERCENT),
    parameters: &[],
    summary: "Swap of {{ $labels.instance }} is {{ printf \"%.0f\" $value }} % used",
    // Linux keeps what nobody reads in swap until it is full, and is well: who wants it says so.
    warning: off(Some(80.0), 600),
    critical: off(Some(95.0), 600),
    origin: Origin::BuiltIn,
};

pub(super) const CLOCK: BuiltIn = BuiltIn {
    name: "clock_skewed",
    title: "Clock is wrong",
    description: "The seconds between the server's clock and that of Prometheus.",
    unit: "s",
    direction: Direction::Above,
    series: "prommgr:clock_skew:seconds",
    // What the kernel says of itself (node_timex_*) is nothing where no NTP client runs.
    recording: Some("abs(node_time_seconds - timestamp(node_time_seconds))"),
    renamed: &[("node_time_seconds", "node_time")],
    needs: "node_time_seconds|node_time",
    interval: None,
    bounds: Some(Bounds { min: 1.0, max: 86_400.0, step: 1.0 }),
    parameters: &[],
    summary: "The clock of {{ $labels.instance }} is wrong by {{ printf \"%.0f\" $value }} s",
    // Half a minute is more than any scrape takes, and where logins with codes begin to fail.
    warning: on(Some(30.0), 600),
    critical: off(Some(300.0), 600),
    origin: Origin::BuiltIn,
};

pub(super) const UNIT_FAILED: BuiltIn = BuiltIn {
    name: "systemd_unit_failed",
    title: "Service failed",
    description: "A systemd unit has failed. Needs node_exporter's systemd collector.",
    unit: "",
    direction: Direction::NonZero,
    series: "prommgr:systemd_failed:bool",
    recording: Some(r#"max without (state, type) (node_systemd_unit_state{state="failed"} == 1)"#),
    renamed: &[],
    needs: "node_systemd_unit_state",
    interval: None,
    bounds: None,
    parameters: &[],
    summary: "{{ $labels.name }} of {{ $labels.instance }} has failed",
    // Many a machine has a unit that failed once and that nobody misses.
    warning: off(None, 300),
    critical: off(None, 300),
    origin: Origin::BuiltIn,
};

pub(super) const REBOOT: BuiltIn = BuiltIn {
    name: "server_rebooted",
    title: "Rebooted",
    description: "The minutes since the server was started.",
    unit: "min",
    direction: Direction::Below,
    series: "prommgr:uptime:minutes",
    // Both by the server's own clock.
    recording: Some("(node_time_seconds - node_boot_time_seconds) / 60"),
    renamed: &[("node_time_seconds", "node_time"), ("node_boot_time_seconds", "node_boot_time")],
    needs: "node_boot_time_seconds|node_boot_time",
    interval: None,
    bounds: Some(Bounds { min: 1.0, max: 1440.0, step: 1.0 }),
    parameters: &[],
    summary: "{{ $labels.instance }} was started {{ printf \"%.0f\" $value }} minutes ago",
    // Most reboots are meant, and each new server would begin with an alert.
    warning: off(Some(15.0), 0),
    critical: off(Some(15.0), 0),
    origin: Origin::BuiltIn,
};
