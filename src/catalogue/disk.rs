//! Kinds of filesystems and networks: alerts by mount point or device.

use super::{Bounds, BuiltIn, Direction, Origin, PERCENT, Parameter, off, on};

const SPACE: &[(&str, &str)] = &[
    ("node_filesystem_avail_bytes", "node_filesystem_avail"),
    ("node_filesystem_size_bytes", "node_filesystem_size"),
];

// tmpfs and images are full or empty by design, and a network share belongs to another machine.
macro_rules! disks {
    () => {
        r#"fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|udf|erofs|nfs.*|cifs|smb.*|fuse.*""#
    };
}

pub(super) const DISK_FILLS: BuiltIn = BuiltIn {
    name: "disk_will_fill_up",
    title: "Disk fills up",
    description: "The hours until a filesystem is full, if it goes on as in the last three \
                  hours; only where it is filling and more than 60 % full.",
    unit: "h",
    direction: Direction::Below,
    series: "prommgr:disk_left:hours",
    // The division keeps to what the derivative selects.
    recording: Some(concat!(
        "node_filesystem_avail_bytes / -(deriv(node_filesystem_avail_bytes{",
        disks!(),
        "}[3h]) < 0) / 3600",
        " and 100 * node_filesystem_avail_bytes / node_filesystem_size_bytes < $max_free",
        " and node_filesystem_readonly == 0",
    )),
    renamed: SPACE,
    needs: "node_filesystem_avail_bytes|node_filesystem_avail",
    interval: Some(60),
    bounds: Some(Bounds { min: 0.5, max: 720.0, step: 0.5 }),
    parameters: &[Parameter {
        name: "max_free",
        title: "Only where less than this is free",
        unit: "%",
        value: 40.0,
    }],
    summary: "Disk {{ $labels.mountpoint }} of {{ $labels.instance }} is full in about \
              {{ printf \"%.1f\" $value }} hours",
    warning: off(Some(24.0), 600),
    critical: on(Some(4.0), 600),
    origin: Origin::BuiltIn,
};

pub(super) const DISK: BuiltIn = BuiltIn {
    name: "disk_threshold_exceeded",
    title: "Disk almost full",
    description: "The share of a filesystem that programs cannot write to any more.",
    unit: "%",
    direction: Direction::Above,
    series: "prommgr:disk_used:percent",
    recording: Some(concat!(
        "100 * (1 - node_filesystem_avail_bytes{",
        disks!(),
        "} / node_filesystem_size_bytes) and node_filesystem_readonly == 0",
    )),
    renamed: SPACE,
    needs: "node_filesystem_avail_bytes|node_filesystem_avail",
    interval: Some(60),
    bounds: Some(PERCENT),
    parameters: &[],
    summary: "Disk {{ $labels.mountpoint }} of {{ $labels.instance }} is {{ printf \"%.0f\" $value }} % full",
    // As node-mixin has it: ten percent of a large disk are plenty, five are seldom.
    warning: on(Some(95.0), 1800),
    critical: off(Some(98.0), 1800),
    origin: Origin::BuiltIn,
};

pub(super) const INODES: BuiltIn = BuiltIn {
    name: "inodes_threshold_exceeded",
    title: "Inodes almost used up",
    description: "The share of a filesystem's inodes that are in use. Without one no file can be made, \
                  whatever space there is.",
    unit: "%",
    direction: Direction::Above,
    series: "prommgr:inodes_used:percent",
    // btrfs and others make them as they go, and count none.
    recording: Some(concat!(
        "100 * (1 - node_filesystem_files_free{",
        disks!(),
        "} / (node_filesystem_files > 0)) and node_filesystem_readonly == 0",
    )),
    renamed: &[],
    needs: "node_filesystem_files_free",
    interval: Some(60),
    bounds: Some(PERCENT),
    parameters: &[],
    summary: "Disk {{ $labels.mountpoint }} of {{ $labels.instance }} has {{ printf \"%.0f\" $value }} % of its inodes in use",
    // Seldom, never harmless, and no tool that looks at space shows it.
    warning: on(Some(95.0), 1800),
    critical: off(Some(98.0), 1800),
    origin: Origin::BuiltIn,
};

pub(super) const READ_ONLY: BuiltIn = BuiltIn {
    name: "filesystem_readonly",
    title: "Disk is read-only",
    description: "A filesystem that is meant to be written to cannot be, as the kernel does after errors.",
    unit: "",
    direction: Direction::NonZero,
    series: "prommgr:disk_readonly:bool",
    // Images and the system's own partitions are mounted so on purpose; a share's server knows better.
    recording: Some(
        r#"node_filesystem_readonly{fstype=~"ext[234]|xfs|btrfs|zfs|jfs|f2fs",mountpoint!~"/usr|/boot.*|/snap/.*"} == 1"#,
    ),
    renamed: &[],
    needs: "node_filesystem_readonly",
    interval: None,
    bounds: None,
    parameters: &[],
    summary: "Disk {{ $labels.mountpoint }} of {{ $labels.instance }} is read-only",
    warning: off(None, 300),
    // The disk is dying, and everything that writes there has stopped; backups' snapshots are gone in half an hour.
    critical: on(None, 1800),
    origin: Origin::BuiltIn,
};

pub(super) const NETWORK: BuiltIn = BuiltIn {
    name: "network_errors_exceeded",
    title: "Network errors",
    description: "The share of packets that a network interface received or sent with errors over the last five \
                  minutes.",
    unit: "%",
    direction: Direction::Above,
    series: "prommgr:network_errors:percent",
    // A host of many guests has hundreds of interfaces that are no hardware.
    recording: Some(concat!(
        "100 * (rate(node_network_receive_errs_total{",
        r#"device!~"lo|veth.*|docker.*|br-.*|virbr.*|vnet.*|tap.*|fwbr.*|fwpr.*|fwln.*|cali.*|cni.*|flannel.*""#,
        "}[5m]) + rate(node_network_transmit_errs_total[5m]))",
        " / (rate(node_network_receive_packets_total[5m]) + rate(node_network_transmit_packets_total[5m]) > 0)",
    )),
    renamed: &[
        ("node_network_receive_errs_total", "node_network_receive_errs"),
        ("node_network_transmit_errs_total", "node_network_transmit_errs"),
        ("node_network_receive_packets_total", "node_network_receive_packets"),
        ("node_network_transmit_packets_total", "node_network_transmit_packets"),
    ],
    needs: "node_network_receive_errs_total|node_network_receive_errs",
    interval: Some(60),
    bounds: Some(Bounds { min: 0.1, max: 100.0, step: 0.1 }),
    parameters: &[],
    summary: "{{ printf \"%.1f\" $value }} % of the packets at {{ $labels.device }} of {{ $labels.instance }} have errors",
    // An hour of it is a cable, a port or a card, and no accident.
    warning: on(Some(1.0), 3600),
    critical: off(Some(10.0), 3600),
    origin: Origin::BuiltIn,
};
