//! How much happened.

#[derive(Debug, Default, Clone)]
pub(crate) struct Figures {
    pub(crate) seeds: u64,
    pub(crate) runs: u64,
    pub(crate) versions: u64,
    pub(crate) calls: u64,
    pub(crate) bad_calls: u64,
    pub(crate) late_puts: u64,
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) pauses: u64,
    pub(crate) clocks_set: u64,
    pub(crate) deleted: u64,
    /// Of these, objects of versions for which it was checked how long ago the pointer left them.
    pub(crate) judged: u64,
}

impl Figures {
    /// Seeds in which nothing happens would keep every promise without effort.
    pub(crate) fn assert_eventful(&self) {
        let each = [
            ("runs", self.runs, 10),
            ("versions", self.versions, 5),
            ("refused calls", self.bad_calls, 20),
            ("kills", self.kills, 1),
        ];
        for (what, count, least) in each {
            assert!(count >= least * self.seeds, "{what}: {self:?}");
        }
        let some = [
            ("late puts", self.late_puts),
            ("deleted objects", self.deleted),
            ("judged deletions", self.judged),
            ("stops", self.stops),
            ("pauses", self.pauses),
            ("clocks", self.clocks_set),
        ];
        for (what, count) in some {
            assert!(4 * count >= self.seeds, "{what}: {self:?}");
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.runs += other.runs;
        self.versions += other.versions;
        self.calls += other.calls;
        self.bad_calls += other.bad_calls;
        self.late_puts += other.late_puts;
        self.kills += other.kills;
        self.stops += other.stops;
        self.pauses += other.pauses;
        self.clocks_set += other.clocks_set;
        self.deleted += other.deleted;
        self.judged += other.judged;
    }
}
