//! Codes that are kept from one batch of insertions to the next, as long as they are faithful.

use super::{Codes, Exact, faithful};

/// The state of the codes.
#[derive(Debug, Default)]
pub(crate) enum Shadow {
    /// Too few elements were inserted for codes to pay off.
    #[default]
    Undecided,
    /// Codes would order the vectors too badly.
    Refused,
    /// The codes, and how many vectors they were compared with.
    Codes { codes: Codes, compared: usize },
}

impl Shadow {
    /// Brings the codes up to date with the vectors. `new` elements will be inserted in all.
    pub(crate) fn updated(self, exact: Exact<'_>, new: usize, threads: usize) -> Self {
        let all = exact.vectors.len();
        let (codes, compared) = match self {
            Self::Refused => return self,
            Self::Undecided if !Codes::suit(exact.vectors.dimension(), new, all) => return self,
            Self::Undecided => (Codes::of(exact, threads), 0),
            Self::Codes {
                mut codes,
                compared,
            } => {
                codes.extend(exact, threads);
                (codes, compared)
            }
        };
        if all < 2 * compared {
            return Self::Codes { codes, compared };
        }
        if faithful(&codes, exact) {
            Self::Codes {
                codes,
                compared: all,
            }
        } else {
            Self::Refused
        }
    }
}
