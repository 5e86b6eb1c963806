/* SPDX-License-Identifier: Apache-2.0 */
/* What DescribeConfigs tells of topic settings beyond their values: a sentence, and the setting of the node that is
 * their default where a topic has none of its own (Kafka's synonym). In order of names. */
#include "base/memory.h"
#include "log/topic_config.h"

static const struct topic_config_text texts[] = {
    {"cleanup.policy", "log.cleanup.policy",
     "What becomes of old records: delete (by retention), compact (the last record of each key is kept), or both."},
    {"compression.gzip.level", "compression.gzip.level",
     "How hard gzip packs where compression.type is gzip: 1 to 9, -1 for its own choice."},
    {"compression.lz4.level", "compression.lz4.level",
     "How hard lz4 packs where compression.type is lz4: 1 to 17; 9 is the fast compressor."},
    {"compression.type", "compression.type",
     "The codec of stored batches: what comes from a producer in another one is packed anew. producer: as it comes."},
    {"compression.zstd.level", "compression.zstd.level",
     "How hard zstd packs where compression.type is zstd: -131072 to 22."},
    {"delete.retention.ms", "log.cleaner.delete.retention.ms",
     "How long a compacted topic keeps a tombstone after it was first cleaned."},
    {"evoke.flush", NULL,
     "sync: acks=all is answered when the records are on disk. os: when the kernel has them, as Kafka does; a power "
     "cut may take back what was acknowledged and read."},
    {"file.delete.delay.ms", "log.segment.delete.delay.ms",
     "Kept and shown; a file that goes is gone once nobody reads it."},
    {"flush.messages", "log.flush.interval.messages",
     "Kept and shown; everything is synced at once, and acks=all waits for it. See evoke.flush."},
    {"flush.ms", "log.flush.interval.ms",
     "Kept and shown; everything is synced at once, and acks=all waits for it. See evoke.flush."},
    {"follower.replication.throttled.replicas", NULL, "Kept and shown; there are no followers."},
    {"index.interval.bytes", "log.index.interval.bytes",
     "Kept and shown; an entry follows every 4096 bytes, so that what a look-up costs is bounded."},
    {"leader.replication.throttled.replicas", NULL, "Kept and shown; there are no followers."},
    {"local.retention.bytes", "log.local.retention.bytes", "Kept and shown; nothing is tiered."},
    {"local.retention.ms", "log.local.retention.ms", "Kept and shown; nothing is tiered."},
    {"max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms",
     "The longest that a record of a compacted topic stays out of compaction."},
    {"max.message.bytes", "message.max.bytes", "The largest record batch that is accepted."},
    {"message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms",
     "How far ahead of the node's clock a record's timestamp may be."},
    {"message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms",
     "How far behind the node's clock a record's timestamp may be."},
    {"message.timestamp.type", "log.message.timestamp.type",
     "CreateTime: the producer's timestamps. LogAppendTime: when the batch was appended."},
    {"min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio",
     "The share of a compacted topic that is not yet compacted, from which on it is."},
    {"min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms",
     "The shortest that a record of a compacted topic stays out of compaction."},
    {"min.insync.replicas", "min.insync.replicas",
     "Kept and shown; as with Kafka no more are asked for than there are: one."},
    {"preallocate", "log.preallocate",
     "Kept and shown; the journal is preallocated, a segment is written when its size is known."},
    {"remote.log.copy.disable", NULL, "Kept and shown; nothing is tiered."},
    {"remote.log.delete.on.disable", NULL, "Kept and shown; nothing is tiered."},
    {"remote.storage.enable", NULL, "There is no tiered storage: it can only be false."},
    {"retention.bytes", "log.retention.bytes",
     "How large a partition may grow before its oldest records go; -1: without limit."},
    {"retention.ms", "log.retention.ms", "How long records are kept; -1: without limit."},
    {"segment.bytes", "log.segment.bytes", "The size at which a segment file is closed and the next begun."},
    {"segment.index.bytes", "log.index.size.max.bytes",
     "The size of an index at which its segment file is closed and the next begun."},
    {"segment.jitter.ms", "log.roll.jitter.ms",
     "At most so much earlier than segment.ms a partition begins its next segment, each at its own time."},
    {"segment.ms", "log.roll.ms", "The age at which a segment file is closed and the next begun."},
    {"unclean.leader.election.enable", "unclean.leader.election.enable", "Kept and shown; there is one replica."},
};

const struct topic_config_text *topic_config_text(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (bytes_equal_string(name, texts[i].name))
            return &texts[i];
    return NULL;
}
