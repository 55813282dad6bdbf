//! Guards that can be taken away, to see that the simulation misses them.

/// What a backend, or the way to it, does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The pointer is put whatever it is now.
    PutUnconditionally,
    /// An answer that did not come is taken for yes.
    SilenceIsSuccess,
    /// Messages are gone as soon as they are received.
    ReceiveDeletes,
}

impl Mistake {
    pub(crate) const ALL: [Self; 3] = [
        Self::PutUnconditionally,
        Self::SilenceIsSuccess,
        Self::ReceiveDeletes,
    ];
}
