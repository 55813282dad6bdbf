//! Links to live elements that no walk from the entry point reaches. Pruning a full list does not
//! ask whether a link was the only way to an element, and no search would find such an element.

use std::collections::{HashSet, VecDeque};

use super::links::Links;

/// Most elements to consider as the source of the new link.
const LOOK_AT: usize = 1000;

/// For each element, whether a walk from `entry` reaches it.
pub(super) fn reached_from(links: &Links, entry: Option<u32>) -> Vec<bool> {
    let mut reached = vec![false; links.len()];
    if let Some(entry) = entry {
        spread(links, entry, &mut reached);
    }
    reached
}

/// Links to every element of `lost` that is not `reached`.
pub(super) fn reattach(
    links: &Links,
    entry: Option<u32>,
    reached: &mut [bool],
    lost: impl Iterator<Item = u32>,
) {
    for lost in lost {
        if reached[lost as usize] {
            continue;
        }
        // An island far from all others gets its link from the entry point.
        if let Some(host) = host_for(lost, links, reached).or(entry) {
            splice(host, lost, links);
            spread(links, lost, reached);
        }
    }
}

fn spread(links: &Links, from: u32, reached: &mut [bool]) {
    reached[from as usize] = true;
    let mut open = vec![from];
    while let Some(element) = open.pop() {
        for next in neighbours(links, element) {
            if !std::mem::replace(&mut reached[next as usize], true) {
                open.push(next);
            }
        }
    }
}

/// The neighbours of an element on all its levels.
fn neighbours(links: &Links, element: u32) -> impl Iterator<Item = u32> + '_ {
    (0..=links.level_of(element)).flat_map(move |level| links.of(element, level))
}

/// The nearest reachable element with room, found through the links of `lost`. If none has room,
/// the nearest.
fn host_for(lost: u32, links: &Links, reached: &[bool]) -> Option<u32> {
    let mut seen = HashSet::from([lost]);
    let mut open = VecDeque::from([lost]);
    let mut nearest = None;
    while let Some(element) = open.pop_front() {
        if reached[element as usize] {
            nearest.get_or_insert(element);
            if links.of(element, 0).count() < links.max_at(0) {
                return Some(element);
            }
        }
        for next in neighbours(links, element) {
            if seen.len() < LOOK_AT && seen.insert(next) {
                open.push_back(next);
            }
        }
    }
    nearest
}

/// Puts `lost` in the place of the last neighbour of a full list, and links from `lost` to that
/// one, so that it stays reachable.
fn splice(host: u32, lost: u32, links: &Links) {
    if links.append(host, 0, lost) {
        return;
    }
    let mut list: Vec<u32> = links.of(host, 0).collect();
    let displaced = list.pop();
    list.push(lost);
    links.set(host, 0, &list);
    let mut own: Vec<u32> = links.of(lost, 0).collect();
    if let Some(displaced) = displaced.filter(|other| *other != lost && !own.contains(other)) {
        own.truncate(links.max_at(0) - 1);
        own.push(displaced);
        links.set(lost, 0, &own);
    }
}
