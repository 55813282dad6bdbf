//! Collections are whatever the messages name; each has its own lineage.

use compactor_core::RunState;

use crate::deltas::{Delta, content_of};
use crate::world::World;

both!(any_collection_name_that_chroma_allows_is_accepted);
fn any_collection_name_that_chroma_allows_is_accepted(world: World) {
    let (a, b) = (
        Delta::of("my.Docs-2024", "a", 2),
        Delta::of("my.Docs-2024", "b", 2),
    );
    world.submit("run-a", &[&a]);
    world.drain();
    world.submit("run-b", &[&b]);
    world.drain();
    assert_eq!(world.content("my.Docs-2024"), content_of([&a, &b]));
    assert_eq!(world.uploads("my.Docs-2024").len(), 2);
    let pointer = world.body("my.Docs-2024/snapshot/latest-pointer.txt");
    assert_eq!(
        pointer.unwrap(),
        world.uploads("my.Docs-2024")[1].as_bytes()
    );
}

both!(run_of_one_or_three_collections_is_merged_into_each);
fn run_of_one_or_three_collections_is_merged_into_each(world: World) {
    let three = [
        Delta::of("lines", "l", 2),
        Delta::of("words", "w", 5),
        Delta::of("my.Docs-2024", "d", 1),
    ];
    let one = Delta::of("words", "only", 3);
    world.submit("run-three", &[&three[0], &three[1], &three[2]]);
    world.submit("run-one", &[&one]);
    let summary = world.drain();
    assert_eq!((summary.completed, summary.published), (4, 3));
    assert_eq!(world.content("lines"), three[0].content());
    assert_eq!(world.content("words"), content_of([&three[1], &one]));
    assert_eq!(world.content("my.Docs-2024"), three[2].content());
    for (collection, merged) in [("lines", 2), ("words", 5), ("my.Docs-2024", 1)] {
        let part = world.part("run-three", collection);
        assert_eq!(
            (part.state, part.merged_vectors),
            (RunState::Completed, merged)
        );
        let version = part.version.unwrap().to_string();
        assert_eq!(version, world.pointer(collection).unwrap());
    }
}

both!(failed_collection_of_run_leaves_others_completed);
fn failed_collection_of_run_leaves_others_completed(world: World) {
    world.expects(&["CC-DELTA-MISSING"]);
    let lines = Delta::of("lines", "l", 2);
    world.submit("run-a", &[&lines, &Delta::of("words", "w", 2)]);
    world.delete(&format!("{}delta.tar.gz", world.prefix("run-a", "words")));
    world.drain();
    assert_eq!(world.content("lines"), lines.content());
    assert_eq!(world.state("run-a", "lines"), RunState::Completed);
    assert_eq!(world.state("run-a", "words"), RunState::Failed);
    assert_eq!(world.code("run-a", "words"), "CC-DELTA-MISSING");
    assert!(world.snapshot("words").is_none());
    assert_eq!(world.depth().dead, 1);
}
