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
}

impl Figures {
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
    }
}
