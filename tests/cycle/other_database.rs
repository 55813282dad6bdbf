//! A collection outside chromadb's default tenant and database.

use std::collections::BTreeMap;

use chroma_store::DATABASE_NAME;
use compactor_core::RunState;
use rusqlite::Connection;

use crate::deltas::{Delta, content_of};
use crate::world::{World, name};

/// Submits a delta whose collection is in the database `east` of the tenant `beta`.
fn submit_to_east(world: &World, run: &str, delta: &Delta) {
    let dir = world.folder(run).join("lines");
    delta.write(world, &dir);
    let database = Connection::open(dir.join(DATABASE_NAME)).unwrap();
    let moved = "INSERT INTO tenants (id) VALUES ('beta');
        INSERT INTO databases (id, name, tenant_id) VALUES ('e', 'east', 'beta');
        UPDATE collections SET database_id = 'e';";
    database.execute_batch(moved).unwrap();
    database.close().unwrap();
    let places = BTreeMap::from([(name("lines"), dir)]);
    world.submit_places(run, places).unwrap();
}

both!(collection_of_another_tenant_is_merged_and_published);
fn collection_of_another_tenant_is_merged_and_published(world: World) {
    let deltas = ["a", "b"].map(|one| Delta::of("lines", one, 3));
    for (delta, run) in deltas.iter().zip(["run-a", "run-b"]) {
        submit_to_east(&world, run, delta);
        world.drain();
        assert_eq!(world.state(run, "lines"), RunState::Completed);
    }
    let snapshot = world.snapshot("lines").unwrap();
    assert_eq!(snapshot.content, content_of(&deltas));
    assert_eq!(snapshot.full_name.to_string(), "beta/east/lines");
}
