//! Compares the graph with brute force, on kinds of data that are hard for such graphs.

use std::collections::BTreeSet;

use super::{Graph, Params};
use crate::Space;

const SPACES: [Space; 3] = [Space::L2, Space::Ip, Space::Cosine];

fn params(space: Space, dimension: usize) -> Params {
    Params {
        dimension,
        space,
        max_links: 16,
        max_links_0: 32,
        ef_construction: 100,
    }
}

/// Rows around common centres, in stored form.
fn clustered(rows: usize, dimension: usize, space: Space, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut point =
        |spread: f32| -> Vec<f32> { (0..dimension).map(|_| (rng.f32() - 0.5) * spread).collect() };
    let centres: Vec<Vec<f32>> = (0..20).map(|_| point(2.0)).collect();
    (0..rows)
        .map(|row| {
            let noise = point(1.0);
            let sum = centres[row % 20]
                .iter()
                .zip(noise)
                .map(|(c, n)| c + n)
                .collect();
            as_stored(sum, space)
        })
        .collect()
}

fn as_stored(row: Vec<f32>, space: Space) -> Vec<f32> {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    match space {
        Space::Cosine if norm > 0.0 => row.iter().map(|x| x / norm).collect(),
        _ => row,
    }
}

fn build(space: Space, rows: &[Vec<f32>], threads: usize) -> Graph {
    let mut graph = Graph::new(params(space, rows[0].len()));
    insert(&mut graph, rows, threads);
    graph
}

fn insert(graph: &mut Graph, rows: &[Vec<f32>], threads: usize) {
    graph.reserve(rows.len());
    for row in rows {
        graph.add(graph.len() + 1, 1.0).1.copy_from_slice(row);
    }
    graph.link(&mut fastrand::Rng::with_seed(7), threads);
}

fn recall(graph: &Graph) -> f64 {
    graph.health(100).recall.unwrap().value
}

/// Checks that every list has distinct elements of its level, and not its own element.
fn check_lists(graph: &Graph) {
    for element in 0..graph.len() {
        for level in 0..=graph.level_of(element) {
            let list: Vec<u32> = graph.links_of(element, level).collect();
            let distinct: BTreeSet<u32> = list.iter().copied().collect();
            assert_eq!(
                distinct.len(),
                list.len(),
                "element {element} level {level}: {list:?}"
            );
            assert!(!distinct.contains(&element));
            assert!(list.iter().all(|other| graph.level_of(*other) >= level));
        }
    }
}

#[test]
fn nearest_neighbours_are_found_in_every_space_on_one_thread_and_many() {
    for space in SPACES {
        for dimension in [3, 64, 300] {
            let rows = clustered(1500, dimension, space, 1);
            for threads in [1, 4] {
                let graph = build(space, &rows, threads);
                let recall = recall(&graph);
                assert!(recall > 0.98, "{space} {dimension} {threads}: {recall}");
                check_lists(&graph);
            }
        }
    }
}

#[test]
fn insertion_on_one_thread_gives_the_same_graph_each_time() {
    let rows = clustered(500, 20, Space::L2, 2);
    let links = |graph: &Graph| -> Vec<Vec<u32>> {
        (0..graph.len())
            .map(|element| graph.links_of(element, 0).collect())
            .collect()
    };
    let (first, second) = (build(Space::L2, &rows, 1), build(Space::L2, &rows, 1));
    assert_eq!(links(&first), links(&second));
}

#[test]
fn elements_that_are_added_to_a_finished_graph_are_found() {
    for space in SPACES {
        let rows = clustered(2000, 32, space, 3);
        let mut graph = build(space, &rows[..1000], 2);
        for part in rows[1000..].chunks(100) {
            insert(&mut graph, part, 2);
        }
        assert!(recall(&graph) > 0.98, "{space}");
        check_lists(&graph);
    }
}

#[test]
fn marked_element_is_not_found_but_routes_searches() {
    let rows = clustered(1000, 32, Space::L2, 4);
    let mut graph = build(Space::L2, &rows, 1);
    for element in (0..1000).filter(|element| element % 3 == 0) {
        graph.mark_deleted(element);
    }
    insert(&mut graph, &clustered(300, 32, Space::L2, 5), 2);
    let found = graph.search(&rows[0], 50, 100, |_| true, &mut graph.scratch());
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|found| !graph.is_deleted(found.element)));
    assert!(recall(&graph) > 0.97, "{}", recall(&graph));
}

#[test]
fn element_that_the_caller_refuses_is_not_found() {
    let rows = clustered(300, 8, Space::L2, 6);
    let graph = build(Space::L2, &rows, 1);
    let found = graph.search(
        &rows[10],
        5,
        50,
        |element| element != 10,
        &mut graph.scratch(),
    );
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|found| found.element != 10));
}

#[test]
fn duplicate_and_zero_vectors_are_reachable() {
    let mut rows = clustered(400, 16, Space::Cosine, 7);
    let same = rows[0].clone();
    rows.extend(std::iter::repeat_n(same, 600));
    rows.extend(std::iter::repeat_n(vec![0.0; 16], 50));
    for threads in [1, 4] {
        let graph = build(Space::Cosine, &rows, threads);
        assert!(recall(&graph) > 0.9, "{}", recall(&graph));
        check_lists(&graph);
    }
}

#[test]
fn graph_of_no_or_one_element_can_be_searched() {
    let mut graph = Graph::new(params(Space::L2, 2));
    assert!(
        graph
            .search(&[0.0, 0.0], 3, 10, |_| true, &mut graph.scratch())
            .is_empty()
    );
    assert_eq!(graph.health(10).recall, None);
    insert(&mut graph, &[vec![3.0, 4.0]], 8);
    let found = graph.search(&[0.0, 0.0], 3, 10, |_| true, &mut graph.scratch());
    assert_eq!((found.len(), found[0].distance), (1, 25.0));
    graph.mark_deleted(0);
    assert!(
        graph
            .search(&[0.0, 0.0], 3, 10, |_| true, &mut graph.scratch())
            .is_empty()
    );
    insert(&mut graph, &[vec![1.0, 0.0]], 8);
    let found = graph.search(&[0.0, 0.0], 3, 10, |_| true, &mut graph.scratch());
    assert_eq!((found.len(), found[0].element), (1, 1));
}

#[test]
fn graph_with_few_links_and_candidates_is_sound() {
    for (max_links, ef_construction) in [(1, 0), (1, 1), (2, 1), (3, 1000)] {
        let mut graph = Graph::new(Params {
            max_links,
            max_links_0: 2 * max_links,
            ef_construction,
            ..params(Space::L2, 4)
        });
        insert(&mut graph, &clustered(200, 4, Space::L2, 8), 2);
        check_lists(&graph);
    }
}
