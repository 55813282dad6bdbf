//! Sample deltas: a few sentences and their words, with simple embeddings that need no model.

use std::path::Path;

use chroma_store::{
    CloseOptions, CreateOptions, DOCUMENT_KEY, MetadataValue, NewIds, Operation, Patch,
    SchemaLevel, Space, StoreResult, create,
};
use compactor_core::ports::Ids;

/// The collections that each sample run has a delta for.
pub(super) const COLLECTIONS: [&str; 2] = ["lines", "words"];
/// The collection that the printed Python code queries.
pub(super) const QUERIED: &str = "lines";

const DIMENSION: usize = 64;
const QUERY_ID: &str = "line-0-0";

/// The sentences of each sample producer.
const PRODUCERS: [[&str; 4]; 3] = [
    [
        "fresh bread and butter from the bakery",
        "two bottles of sparkling water",
        "organic apples, one kilogram",
        "total paid by card",
    ],
    [
        "warm bread rolls with butter",
        "a bottle of still water",
        "green apples on sale",
        "change given in cash",
    ],
    [
        "dark rye bread, sliced",
        "apple juice in a glass bottle",
        "salted butter from the farm",
        "paid by card, thank you",
    ],
];

/// Writes the delta of producer `number` into the new directory `dir`.
///
/// # Errors
/// The directory cannot be made or written.
pub(super) fn write_delta(
    dir: &Path,
    collection: &str,
    number: usize,
    ids: &dyn Ids,
) -> StoreResult<()> {
    let options = CreateOptions {
        collection: collection.to_owned(),
        space: Space::Cosine,
        level: SchemaLevel::L15,
    };
    let ids = NewIds {
        collection: ids.uuid(),
        vector_segment: ids.uuid(),
        metadata_segment: ids.uuid(),
    };
    let mut store = create(dir, &options, ids)?;
    store.write(collection, operations(collection, number))?;
    store.close(&CloseOptions::default())?;
    Ok(())
}

fn operations(collection: &str, number: usize) -> Vec<Operation> {
    let sentences = PRODUCERS[number % PRODUCERS.len()];
    let mut operations = Vec::new();
    for (line, sentence) in sentences.into_iter().enumerate() {
        if collection == "lines" {
            operations.push(record(
                &format!("line-{number}-{line}"),
                sentence,
                number,
                line,
            ));
            continue;
        }
        for (at, word) in sentence.split_whitespace().enumerate() {
            let id = format!("word-{number}-{line}-{at}");
            operations.push(record(&id, word.trim_matches(','), number, line));
        }
    }
    operations
}

fn record(id: &str, text: &str, producer: usize, line: usize) -> Operation {
    let number = |value: usize| Some(MetadataValue::from(i64::try_from(value).unwrap_or(0)));
    let patch: Patch = vec![
        (DOCUMENT_KEY.to_owned(), Some(text.into())),
        ("producer".to_owned(), number(producer)),
        ("line".to_owned(), number(line)),
        ("length".to_owned(), number(text.len())),
    ];
    Operation::upsert(id, &embed(text), patch)
}

/// Counts the letter trigrams of `text` in buckets, so that similar spelling gives similar vectors.
fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    let padded: Vec<char> = format!("  {text} ").chars().collect();
    for trigram in padded.windows(3) {
        let bucket = trigram.iter().fold(5381_usize, |hash, letter| {
            hash.wrapping_mul(33) ^ (*letter as usize)
        });
        vector[bucket % DIMENSION] += 1.0;
    }
    vector
}

/// Python code that opens the directory and finds the records most similar to one of the samples.
pub(super) fn python_lines(dir: &Path) -> [String; 3] {
    // A JSON string is a Python string literal, too.
    let path = serde_json::Value::from(dir.to_string_lossy().into_owned());
    [
        "import chromadb".to_owned(),
        format!("{QUERIED} = chromadb.PersistentClient({path}).get_collection(\"{QUERIED}\")"),
        format!(
            "print({QUERIED}.query(query_embeddings={QUERIED}.get(ids=[\"{QUERY_ID}\"], include=[\"embeddings\"])[\"embeddings\"], n_results=3)[\"documents\"])"
        ),
    ]
}
