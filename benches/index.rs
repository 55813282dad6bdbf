//! Builds a graph of 14,816 unit vectors of 1536 dimensions from nothing and inserts 1,500 into
//! it, natively and with hnsw_rs, hnswlib's C++ (chroma's portable wheel, and compiled for this
//! machine), usearch and chromadb 1.5.9, in the same run, and prints the ratios.
//!
//! `cargo xtask bench index` runs it. Every figure is taken in a process of its own, on vectors
//! that `benches/python/index_peers.py` makes; engines take turns, round by round.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark may stop anywhere"
)]
#![allow(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use chroma_store::Space;
use compactor_testkit::workspace::root;
use hnsw_graph::{Graph, Params};
use hnsw_rs::anndists::dist::distances::DistDot;
use hnsw_rs::hnsw::Hnsw;
use serde_json::{Value, json};

const DIMENSION: usize = 1536;
const M: usize = 16;
const EF: usize = 100;
const NEAREST: usize = 10;
/// Says which engine the process is to measure.
const CHILD: &str = "INDEX_BENCH";

const ENGINES: [&str; 7] = [
    "native",
    "native, l2",
    "hnsw_rs",
    "hnswlib (portable wheel)",
    "hnswlib (this machine)",
    "usearch",
    "chromadb",
];

fn main() {
    let data = root().join("target/bench-index");
    if let Ok(engine) = std::env::var(CHILD) {
        let threads = std::env::args().nth(1).unwrap().parse().unwrap();
        println!("{}", measure(&engine, threads, &data));
        return;
    }
    std::fs::create_dir_all(&data).unwrap();
    python("index-peers", &["make", "--dir", data.to_str().unwrap()]);
    let rounds = std::env::var("ROUNDS").map_or(3, |text| text.parse().unwrap());
    println!(
        "{rows} x {DIMENSION} from nothing, then {more} more; M {M}, ef {EF}; best of {rounds} rounds",
        rows = 14_816,
        more = 1_500
    );
    println!(
        "distances on this machine: {}",
        Graph::new(params(Space::Cosine)).instruction_set()
    );
    for threads in [1, 2] {
        let mut figures: Vec<Vec<Value>> = vec![Vec::new(); ENGINES.len()];
        for _ in 0..rounds {
            for (engine, figures) in ENGINES.iter().zip(&mut figures) {
                figures.push(run(engine, threads, &data));
            }
        }
        print_table(threads, &figures);
    }
}

fn print_table(threads: usize, figures: &[Vec<Value>]) {
    let best = |of: &[Value], key: &str| {
        let values = of.iter().map(|figure| figure[key].as_f64().unwrap());
        values.fold(f64::INFINITY, f64::min)
    };
    let (build, insert) = (
        best(&figures[0], "build_seconds"),
        best(&figures[0], "insert_seconds"),
    );
    println!(
        "\n{threads} thread(s)              build s  ratio  insert s  ratio  recall build  insert  peak MiB"
    );
    for (engine, of) in ENGINES.iter().zip(figures) {
        println!(
            "{engine:25} {:7.3} {:6.1} {:9.3} {:6.1} {:13.4} {:7.4} {:9.0}",
            best(of, "build_seconds"),
            best(of, "build_seconds") / build,
            best(of, "insert_seconds"),
            best(of, "insert_seconds") / insert,
            best(of, "build_recall"),
            best(of, "insert_recall"),
            best(of, "peak_rss_bytes") / f64::from(1 << 20),
        );
    }
}

fn run(engine: &str, threads: usize, data: &Path) -> Value {
    let threads_text = threads.to_string();
    let peer = |environment: &str, name: &str| {
        let data = data.to_str().unwrap();
        python(
            environment,
            &[
                "run",
                "--dir",
                data,
                "--engine",
                name,
                "--threads",
                &threads_text,
            ],
        )
    };
    let output = match engine {
        "hnswlib (portable wheel)" => peer("index-peers", "hnswlib"),
        "hnswlib (this machine)" => peer("index-peers-native", "hnswlib"),
        "usearch" => peer("index-peers", "usearch"),
        "chromadb" => peer("chromadb-1.5.9", "chromadb"),
        own => {
            let output = Command::new(std::env::current_exe().unwrap())
                .env(CHILD, own)
                .arg(&threads_text)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        }
    };
    serde_json::from_str(output.lines().last().unwrap()).unwrap()
}

/// Searches one vector: numbers of the nearest rows.
type Search<'g> = Box<dyn FnMut(&[f32]) -> Vec<usize> + 'g>;

fn measure(engine: &str, threads: usize, data: &Path) -> Value {
    let base = rows(&data.join("base.f32"));
    let more = rows(&data.join("more.f32"));
    let queries = rows(&data.join("queries.f32"));
    let truth = [
        numbers(&data.join("truth_base.u32")),
        numbers(&data.join("truth_all.u32")),
    ];
    let phases = [&base, &more];
    let (seconds, recalls) = match engine {
        "hnsw_rs" => with_hnsw_rs(&phases, threads, &queries, &truth),
        "native" => natively(Space::Cosine, &phases, threads, &queries, &truth),
        "native, l2" => natively(Space::L2, &phases, threads, &queries, &truth),
        other => panic!("{other}"),
    };
    json!({
        "build_seconds": seconds[0], "insert_seconds": seconds[1],
        "build_recall": recalls[0], "insert_recall": recalls[1],
        "peak_rss_bytes": peak_rss_bytes(),
    })
}

fn natively(
    space: Space,
    phases: &[&Vec<Vec<f32>>; 2],
    threads: usize,
    queries: &[Vec<f32>],
    truth: &[Vec<u32>; 2],
) -> ([f64; 2], [f64; 2]) {
    let mut graph = Graph::new(params(space));
    // With room for both, as hnswlib is loaded.
    graph.reserve(phases[0].len() + phases[1].len());
    let mut random = fastrand::Rng::with_seed(1);
    let (mut seconds, mut recalls, mut label) = ([0.0; 2], [0.0; 2], 0);
    for (phase, rows) in phases.iter().enumerate() {
        let began = Instant::now();
        for row in *rows {
            label += 1;
            graph.add(label, 1.0).1.copy_from_slice(row);
        }
        graph.link(&mut random, threads);
        seconds[phase] = began.elapsed().as_secs_f64();
        let mut scratch = graph.scratch();
        let search: Search<'_> = Box::new(|query| {
            let found = graph.search(query, NEAREST, EF, |_| true, &mut scratch);
            found.iter().map(|one| one.element as usize).collect()
        });
        recalls[phase] = recall(search, queries, &truth[phase]);
    }
    (seconds, recalls)
}

/// With the distance and the parallel insertion that it brings along.
fn with_hnsw_rs(
    phases: &[&Vec<Vec<f32>>; 2],
    threads: usize,
    queries: &[Vec<f32>],
    truth: &[Vec<u32>; 2],
) -> ([f64; 2], [f64; 2]) {
    let all = phases[0].len() + phases[1].len();
    let mut hnsw = Hnsw::<f32, DistDot>::new(M, all, 16, EF, DistDot {});
    let (mut seconds, mut recalls, mut number) = ([0.0; 2], [0.0; 2], 0);
    for (phase, rows) in phases.iter().enumerate() {
        hnsw.set_searching_mode(false);
        let numbered: Vec<(&Vec<f32>, usize)> = rows.iter().zip(number..).collect();
        number += rows.len();
        let began = Instant::now();
        if threads == 1 {
            for (row, number) in numbered {
                hnsw.insert((row, number));
            }
        } else {
            hnsw.parallel_insert(&numbered);
        }
        seconds[phase] = began.elapsed().as_secs_f64();
        hnsw.set_searching_mode(true);
        let search: Search<'_> = Box::new(|query| {
            let found = hnsw.search(query, NEAREST, EF);
            found.iter().map(|one| one.d_id).collect()
        });
        recalls[phase] = recall(search, queries, &truth[phase]);
    }
    (seconds, recalls)
}

fn params(space: Space) -> Params {
    Params {
        dimension: DIMENSION,
        space,
        max_links: M,
        max_links_0: 2 * M,
        ef_construction: EF,
    }
}

fn recall(mut search: Search<'_>, queries: &[Vec<f32>], truth: &[u32]) -> f64 {
    let found: usize = queries
        .iter()
        .zip(truth.chunks_exact(NEAREST))
        .map(|(query, truth)| {
            let found = search(query);
            found
                .iter()
                .filter(|row| truth.contains(&u32::try_from(**row).unwrap()))
                .count()
        })
        .sum();
    found as f64 / truth.len() as f64
}

fn rows(path: &Path) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let floats = |row: &[u8]| {
        let (elements, _) = row.as_chunks::<4>();
        elements.iter().map(|x| f32::from_le_bytes(*x)).collect()
    };
    bytes.chunks_exact(4 * DIMENSION).map(floats).collect()
}

fn numbers(path: &Path) -> Vec<u32> {
    let bytes = std::fs::read(path).unwrap();
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|x| u32::from_le_bytes(*x)).collect()
}

fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

fn python(environment: &str, arguments: &[&str]) -> String {
    let environments =
        std::env::var_os("CHROMA_VENVS").map_or_else(|| root().join(".venvs"), PathBuf::from);
    let output = Command::new(environments.join(environment).join("bin/python"))
        .arg(root().join("benches/python/index_peers.py"))
        .args(arguments)
        .output()
        .expect("run `cargo xtask bench index`, which installs the peers");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
