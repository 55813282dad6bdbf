//! Finds every setting that is out of range, and settings that contradict each other.

use std::net::IpAddr;
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::escape::without_passwords;
use compactor_core::keys::{DeltaLocation, bucket_fault};
use compactor_core::retention::RetentionPolicy;
use glob::Pattern;
use tracing_subscriber::EnvFilter;

use super::RawSettings;
use super::fault::Fault;

/// The range of `limits.value`, in bytes. SQLite allows a value of at most a billion.
const LEAST_VALUE: u64 = 1 << 10;
const MOST_VALUE: u64 = 900 << 20;
/// How many terms of a lease a superseded version is kept for, at least.
const LEASES_OF_RETENTION: u32 = 10;

impl RawSettings {
    /// All faults of settings that can be read.
    pub(super) fn contradictions(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (key, count, most) in [
            ("worker.workers", self.worker.workers, 1024),
            ("worker.batch_runs", self.worker.batch_runs, 1_000_000),
            ("queue.in_flight", self.queue.in_flight, 1_000_000),
            ("queue.max_receives", self.queue.max_receives as usize, 1000),
            ("limits.transfers", self.limits.transfers, 1024),
            ("retry.attempts", self.retry.attempts as usize, 1000),
            // Memory for all of it is allocated at the start.
            ("log.buffer", self.log.buffer, 10_000_000),
        ] {
            if !(1..=most).contains(&count) {
                let message = format!("{key} must be from 1 to {most}");
                faults.push(Fault::of(&[key], message));
            }
        }
        let limits = &self.limits;
        for (key, is_zero) in [
            ("limits.archive", limits.archive.bytes() == 0),
            ("limits.delta", limits.delta.bytes() == 0),
            ("limits.entries", limits.entries == 0),
            ("limits.ratio", limits.ratio == 0),
            ("limits.batch", limits.batch.bytes() == 0),
            ("limits.snapshot", limits.snapshot.bytes() == 0),
        ] {
            if is_zero {
                let message = format!("{key} must be more than 0, or nothing could be merged");
                faults.push(Fault::of(&[key], message));
            }
        }
        let value = limits.value.bytes();
        if !(LEAST_VALUE..=MOST_VALUE).contains(&value) {
            let message = "limits.value must be from 1 KiB to 900 MiB, as SQLite has it";
            faults.push(Fault::of(&["limits.value"], message));
        }
        if limits.batch.bytes() < limits.delta.bytes() {
            let message = "limits.batch must be at least limits.delta, or the largest deltas could never be merged";
            faults.push(Fault::of(&["limits.batch", "limits.delta"], message));
        }
        faults.extend(self.admission_faults());
        if self
            .worker
            .scratch
            .as_ref()
            .is_some_and(|path| path.as_os_str().is_empty())
        {
            let key = "worker.scratch";
            faults.push(Fault::of(&[key], format!("{key} must name a folder")));
        }
        for (key, value) in [
            ("queue.visibility", self.queue.visibility),
            ("metrics.every", self.metrics.every),
        ] {
            if value < Duration::from_secs(1) {
                faults.push(Fault::of(&[key], format!("{key} must be at least 1s")));
            }
        }
        if self.metrics.namespace.is_empty() {
            let key = "metrics.namespace";
            faults.push(Fault::of(&[key], format!("{key} must not be empty")));
        }
        let flush = &self.flush;
        for (key, percent) in [
            (
                "flush.rebuild_above_deleted_percent",
                flush.rebuild_above_deleted_percent,
            ),
            (
                "flush.vacuum_above_free_percent",
                flush.vacuum_above_free_percent,
            ),
            ("snapshot.max_shrink", self.snapshot.max_shrink),
        ] {
            if percent > 100 {
                faults.push(Fault::of(&[key], format!("{key} must be at most 100")));
            }
        }
        let filter = &self.log.filter;
        if let Err(error) = EnvFilter::try_new(filter) {
            let message = format!("log.filter `{filter}`: {error}");
            faults.push(Fault::of(&["log.filter"], message));
        }
        faults.extend(self.aws_faults());
        faults.extend(self.retention_faults(self.retention()));
        faults
    }

    /// Faults of the settings that say which collections and deltas are merged.
    fn admission_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let key = "collections.allow";
        for pattern in &self.collections.allow {
            if let Err(error) = Pattern::new(pattern) {
                let message = format!("{key} `{pattern}`: {error}");
                let fault = Fault::of(&[key], message);
                faults.push(fault.with_help("a name, or a pattern with `*` and `?`"));
            }
        }
        let key = "collections.embedding_functions";
        if self
            .collections
            .embedding_functions
            .iter()
            .any(|one| one.name.is_empty())
        {
            faults.push(Fault::of(&[key], format!("{key}: a name is empty")));
        }
        let key = "deltas.prefixes";
        if self.deltas.prefixes.is_empty() {
            let message =
                format!("{key} must name at least one prefix, or no delta could be merged");
            faults.push(Fault::of(&[key], message));
        }
        for prefix in &self.deltas.prefixes {
            // Tries the prefix with the name of a possible delta below it.
            let named = format!("{prefix}a").replace("{c}", "abc");
            let is_whole = prefix.ends_with('/') && !prefix.starts_with('/');
            let has_braces = named.contains(['{', '}']);
            let named = DeltaLocation::parse(&named);
            let reason = match named {
                _ if has_braces => "only `{c}`, the collection, may stand in braces",
                Ok(DeltaLocation { bucket: None, .. }) if is_whole => continue,
                Ok(_) => "it must end with `/`, and begin with neither `/` nor a bucket",
                Err(error) => error.reason,
            };
            faults.push(Fault::of(&[key], format!("{key} `{prefix}`: {reason}")));
        }
        let key = "queue.stream_collections";
        if !(1..=10_000).contains(&self.queue.stream_collections) {
            faults.push(Fault::of(&[key], format!("{key} must be from 1 to 10000")));
        }
        faults
    }

    /// Faults of bucket names, and of bucket owners that are not account ids.
    fn bucket_faults(&self) -> Vec<Fault> {
        let aws = &self.aws;
        let mut faults = Vec::new();
        let named = aws
            .delta_buckets
            .iter()
            .map(|name| ("aws.delta_buckets", name));
        let owned = aws
            .bucket_owners
            .keys()
            .map(|name| ("aws.bucket_owners", name));
        for (key, name) in named.chain(owned) {
            if let Some(reason) = bucket_fault(name) {
                faults.push(Fault::of(&[key], format!("{key} `{name}`: {reason}")));
            }
        }
        let key = "aws.bucket_owners";
        for (bucket, account) in &aws.bucket_owners {
            if account.len() != 12 || !account.bytes().all(|digit| digit.is_ascii_digit()) {
                let message =
                    format!("{key}: `{account}` of {bucket} is no account id, which has 12 digits");
                faults.push(Fault::of(&[key], message));
            }
            if *bucket != aws.bucket && !aws.delta_buckets.contains(bucket) {
                let message =
                    format!("{key}: {bucket} is neither aws.bucket nor among aws.delta_buckets");
                faults.push(Fault::of(&[key, "aws.delta_buckets"], message));
            }
        }
        faults
    }

    /// Faults of a retention policy. A reader must be able to finish downloading a version that was just
    /// superseded, and a writer must be able to publish a version that builds on it.
    pub(super) fn retention_faults(&self, policy: RetentionPolicy) -> Vec<Fault> {
        let mut faults = Vec::new();
        let least = self.lease.term.saturating_mul(LEASES_OF_RETENTION);
        if policy.age < least {
            let least = humantime::format_duration(least);
            let message = format!("retention.age must be at least {least}, ten times lease.term");
            faults.push(Fault::of(&["retention.age", "lease.term"], message));
        }
        if policy.versions == 0 {
            let key = "retention.versions";
            faults.push(Fault::of(&[key], format!("{key} must be at least 1")));
        }
        faults
    }

    /// Faults of the settings in the section `aws`, if AWS is used.
    fn aws_faults(&self) -> Vec<Fault> {
        if self.is_local() {
            return Vec::new();
        }
        if cfg!(not(feature = "aws")) {
            return vec![super::backends::built_without_aws()];
        }
        let (aws, mut faults) = (&self.aws, Vec::new());
        for (key, value) in [("aws.bucket", &aws.bucket), ("aws.table", &aws.table)] {
            if value.is_empty() {
                let message = format!("{key} must be set for storage.backend = \"aws\"");
                let fault = Fault::of(&[key], message);
                faults.push(fault.with_help("config/aws.example.toml shows a whole file"));
            }
        }
        let (shared, own) = (!aws.queue_url.is_empty(), !aws.queues.is_empty());
        if shared == own {
            let message = if shared {
                "aws.queue_url and aws.queues exclude each other"
            } else {
                "aws.queue_url or aws.queues must be set for storage.backend = \"aws\""
            };
            let fault = Fault::of(&["aws.queue_url", "aws.queues"], message);
            faults.push(fault.with_help("name one queue for all collections, or one for each"));
        }
        for name in aws.queues.keys() {
            if let Err(error) = name.parse::<CollectionName>() {
                faults.push(Fault::of(&["aws.queues"], format!("aws.queues: {error}")));
            }
        }
        let of_collections = aws.queues.values().map(|url| ("aws.queues", url));
        let of_all = shared.then_some(("aws.queue_url", &aws.queue_url));
        let endpoint = aws.endpoint.iter().map(|url| ("aws.endpoint", url));
        for (key, address) in of_collections.chain(of_all).chain(endpoint) {
            if !is_address(address) {
                let shown = without_passwords(address);
                let message = format!("{key} `{shown}` is no address");
                let fault = Fault::of(&[key], message);
                faults.push(fault.with_help("addresses begin with https:// or http://"));
            }
        }
        if aws.stall < Duration::from_secs(1) {
            let key = "aws.stall";
            faults.push(Fault::of(&[key], format!("{key} must be at least 1s")));
        }
        faults.extend(self.bucket_faults());
        faults.extend(self.lock_faults());
        faults
    }

    /// Warnings about settings that can be used, but are rarely meant.
    pub(crate) fn warnings(&self) -> Vec<String> {
        if self.is_local() {
            return Vec::new();
        }
        let aws = &self.aws;
        let endpoint = aws.endpoint.iter().map(|url| ("aws.endpoint", url));
        let queues = aws.queues.values().map(|url| ("aws.queues", url));
        let queue = [("aws.queue_url", &aws.queue_url)];
        let remote = endpoint.chain(queues).chain(queue);
        let remote = remote.filter(|(_, url)| is_remote_plain_http(url));
        remote
            .map(|(key, url)| {
                let url = without_passwords(url);
                format!("{key} {url}: without TLS, others on the network can read and change what is sent; use https://")
            })
            .collect()
    }

    fn lock_faults(&self) -> Vec<Fault> {
        let key = "aws.lock_ids";
        let ids = &self.aws.lock_ids;
        if ids.is_empty() {
            let message = format!("{key} must name at least one lock");
            return vec![Fault::of(&[key], message)];
        }
        let of_all = ids.iter().filter(|id| !id.contains("{c}"));
        let faults = of_all.map(|id| {
            let message = format!("{key}: `{id}` would be one lock for all collections");
            let fault = Fault::of(&[key], message);
            fault.with_help("write {c} where the collection's name belongs")
        });
        faults.collect()
    }
}

fn is_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty())
}

/// Whether an address without TLS leads to another machine. A host name without a dot belongs to a network
/// of containers.
fn is_remote_plain_http(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (_, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let host = match place.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => place.split(':').next().unwrap_or_default(),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => !address.is_loopback(),
        Err(_) => host.contains('.') && !host.ends_with(".localhost"),
    }
}
