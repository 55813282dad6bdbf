//! Reads the finished graph out of `hnsw_rs`, and removes links that hnswlib cannot read: those to
//! elements below the list's level, and those beyond the longest list.

use std::cmp::Reverse;
use std::sync::Arc;

use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::{Hnsw, Neighbour, Point};

use super::{LAYERS, Links};
use hnsw_graph::Params;

pub(super) fn export<D: Distance<u32> + Send + Sync>(
    hnsw: &Hnsw<u32, D>,
    elements: usize,
    params: &Params,
) -> Result<Links, String> {
    let index = hnsw.get_point_indexation();
    let mut points: Vec<Arc<Point<u32>>> = (0..LAYERS)
        .flat_map(|layer| index.get_layer_iterator(layer))
        .collect();
    points.sort_unstable_by_key(|point| point.get_origin_id());
    if !points
        .iter()
        .map(|point| point.get_origin_id())
        .eq(0..elements)
    {
        return Err(format!(
            "hnsw_rs kept {} points of {elements}",
            points.len()
        ));
    }
    let levels: Vec<usize> = points
        .iter()
        .map(|point| point.get_point_id().0.into())
        .collect();
    // hnsw_rs itself enters at the first element of the top layer.
    let entry = points
        .iter()
        .min_by_key(|point| {
            let place = point.get_point_id();
            (Reverse(place.0), place.1)
        })
        .and_then(|point| u32::try_from(point.get_origin_id()).ok())
        .ok_or("hnsw_rs kept no points")?;
    Ok(Links {
        lists: points
            .iter()
            .map(|point| lists_of(point, &levels, params))
            .collect(),
        entry_point: entry,
    })
}

fn lists_of(point: &Point<u32>, levels: &[usize], params: &Params) -> Vec<Vec<u32>> {
    let own = point.get_origin_id();
    let lists = point.get_neighborhood_id().into_iter();
    lists
        .take(levels[own] + 1)
        .enumerate()
        .map(|(level, list)| {
            let room = if level == 0 {
                params.max_links_0
            } else {
                params.max_links
            };
            let reaches = |id: usize| levels.get(id).is_some_and(|top| *top >= level);
            cleaned(list, room, |id| id != own && reaches(id))
        })
        .collect()
}

/// The nearest allowed elements, each once.
fn cleaned(mut list: Vec<Neighbour>, room: usize, allowed: impl Fn(usize) -> bool) -> Vec<u32> {
    list.sort_by(|left, right| left.distance.total_cmp(&right.distance));
    let mut kept = Vec::with_capacity(room.min(list.len()));
    for neighbour in list.iter().filter(|neighbour| allowed(neighbour.d_id)) {
        let Ok(id) = u32::try_from(neighbour.d_id) else {
            continue;
        };
        if kept.len() < room && !kept.contains(&id) {
            kept.push(id);
        }
    }
    kept
}
