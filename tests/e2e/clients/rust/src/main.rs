// SPDX-License-Identifier: Apache-2.0
//! rskafka behind the verbs of kafka_clients.py (it knows no groups and makes no topics by asking for them). See there.

use std::collections::BTreeMap;
use std::time::Duration;

use rskafka::client::partition::{Compression, OffsetAt, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};

type Failure = Box<dyn std::error::Error>;

fn compression(codec: &str) -> Compression {
    match codec {
        "none" => Compression::NoCompression,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        other => panic!("no codec {other}"),
    }
}

fn record(codec: &str, i: usize) -> Record {
    Record {
        key: Some(format!("k{i}").into_bytes()),
        value: Some(format!("{codec} {i} {}", "x".repeat(100)).into_bytes()),
        headers: BTreeMap::from([("n".to_owned(), i.to_string().into_bytes())]),
        timestamp: chrono::Utc::now(),
    }
}

async fn produce(client: &Client, topic: &str, codec: &str, count: usize) -> Result<(), Failure> {
    client.controller_client()?.create_topic(topic, 1, 1, 5_000).await?;
    let partition = client.partition_client(topic, 0, UnknownTopicHandling::Retry).await?;
    let records: Vec<_> = (0..count).map(|i| record(codec, i)).collect();
    for some in records.chunks(50) {
        partition.produce(some.to_vec(), compression(codec)).await?;
    }
    Ok(())
}

fn show(topic: &str, partition: i32, got: &RecordAndOffset) {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
    let value = text(&got.record.value);
    let header = String::from_utf8_lossy(&got.record.headers["n"]);
    let value = value.trim_end_matches('x').trim();
    println!("{topic} {partition} {} {} {value} {header}", got.offset, text(&got.record.key));
}

async fn consume(client: &Client, topic: &str, partition: i32) -> Result<(), Failure> {
    let reader = client.partition_client(topic, partition, UnknownTopicHandling::Error).await?;
    let mut at = reader.get_offset(OffsetAt::Earliest).await?;
    let end = reader.get_offset(OffsetAt::Latest).await?;
    while at < end {
        let (records, _) = reader.fetch_records(at, 1..1_000_000, 1_000).await?;
        for got in records.iter().filter(|got| got.offset >= at) {
            show(topic, partition, got);
        }
        at = records.last().map_or(at, |last| last.offset + 1);
    }
    Ok(())
}

/// The first record of partition 0 that is not older.
async fn seek(client: &Client, topic: &str, ms: i64) -> Result<(), Failure> {
    let reader = client.partition_client(topic, 0, UnknownTopicHandling::Error).await?;
    let time = chrono::DateTime::from_timestamp_millis(ms).ok_or("not a time")?;
    let at = reader.get_offset(OffsetAt::Timestamp(time)).await?;
    let (records, _) = reader.fetch_records(at, 1..1_000_000, 1_000).await?;
    let first = records.iter().find(|got| got.offset >= at).ok_or("nothing there")?;
    println!("{} {}", first.offset, String::from_utf8_lossy(first.record.value.as_deref().unwrap_or_default()));
    Ok(())
}

/// As far as rskafka goes: it knows no settings and no groups.
async fn admin(client: &Client, topic: &str, filled: &str) -> Result<(), Failure> {
    let controller = client.controller_client()?;
    controller.create_topic(topic, 4, 1, 5_000).await?;
    let of = |topics: Vec<rskafka::topic::Topic>| topics.into_iter().find(|found| found.name == topic);
    println!("partitions {}", of(client.list_topics().await?).map_or(0, |found| found.partitions.len()));
    let partition = client.partition_client(filled, 0, UnknownTopicHandling::Error).await?;
    partition.delete_records(2, 5_000).await?;
    println!("earliest {}", partition.get_offset(OffsetAt::Earliest).await?);
    println!("latest {}", partition.get_offset(OffsetAt::Latest).await?);
    controller.delete_topic(topic, 5_000).await?;
    println!("left {}", of(client.list_topics().await?).map_or(0, |_| 1));
    Ok(())
}

async fn run(arguments: &[String]) -> Result<(), Failure> {
    let client = ClientBuilder::new(vec![arguments[1].clone()]).build().await?;
    match arguments[0].as_str() {
        "produce" => {
            for codec in &arguments[4..] {
                produce(&client, &format!("{}-{codec}", arguments[2]), codec, arguments[3].parse()?).await?;
            }
        }
        "consume" => {
            for topic in client.list_topics().await?.iter().filter(|topic| arguments[3..].contains(&topic.name)) {
                for &partition in &topic.partitions {
                    consume(&client, &topic.name, partition).await?;
                }
            }
        }
        "seek" => seek(&client, &arguments[2], arguments[3].parse()?).await?,
        "admin" => admin(&client, &arguments[2], &arguments[3]).await?,
        verb => panic!("no verb {verb}"),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    tokio::time::timeout(Duration::from_secs(50), run(&arguments)).await?
}
