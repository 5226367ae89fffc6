//! The two small vocabularies that generated code and its helpers share: the attempted access, and what to do next.

/// The kind of access that an instruction attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads this many bytes: 1, 2 or 4.
    Load(u32),
    /// Writes this many bytes: 1, 2 or 4.
    Store(u32),
    /// Fetches an instruction.
    Fetch,
}

impl Access {
    /// Returns the alignment in bytes: the address must be a multiple of it.
    pub const fn align_bytes(self) -> u32 {
        match self {
            Access::Load(bytes) | Access::Store(bytes) => bytes,
            Access::Fetch => 4,
        }
    }
}

/// A request of generated code to the access helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssistRequest {
    /// One access, at the address in the subject.
    Access(Access),
    /// All accesses of the access group whose number is the subject.
    AccessGroup,
}

impl AssistRequest {
    /// Returns the number by which generated code makes the request.
    ///
    /// The low byte is the request's kind. Above it are `undone`, the block's steps that are not done yet, and then
    /// `steps`, the steps that generated code may do before its next request.
    pub const fn pack(self, undone: u8, steps: u16) -> u32 {
        let code = match self {
            AssistRequest::Access(Access::Fetch) => 0,
            AssistRequest::Access(Access::Load(bytes)) => bytes,
            AssistRequest::Access(Access::Store(bytes)) => bytes | 8,
            AssistRequest::AccessGroup => 16,
        };
        code | (undone as u32) << 8 | (steps as u32) << 16
    }

    /// Unpacks a result of [`AssistRequest::pack`]; returns `None` for any other number.
    pub const fn unpack(packed: u32) -> Option<(AssistRequest, u8, u16)> {
        let request = match packed & 0xff {
            0 => AssistRequest::Access(Access::Fetch),
            bytes @ (1 | 2 | 4) => AssistRequest::Access(Access::Load(bytes)),
            code @ (9 | 10 | 12) => AssistRequest::Access(Access::Store(code & 7)),
            16 => AssistRequest::AccessGroup,
            _ => return None,
        };
        Some((request, (packed >> 8) as u8, (packed >> 16) as u16))
    }
}

/// What generated code does after a helper returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Continues where it was.
    Continue,
    /// Leaves native code before the step that made the request; the context then holds the exact state before that
    /// step.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_unpacked_as_they_were_packed_and_nothing_else_is_one() {
        let accesses = [1, 2, 4].into_iter().flat_map(|bytes| [Access::Load(bytes), Access::Store(bytes)]);
        let requests = accesses.chain([Access::Fetch]).map(AssistRequest::Access).chain([AssistRequest::AccessGroup]);
        let requests: Vec<AssistRequest> = requests.collect();
        for &request in &requests {
            assert_eq!(AssistRequest::unpack(request.pack(63, 64)), Some((request, 63, 64)));
        }
        let known = (0..=0xff).filter(|&code| AssistRequest::unpack(code).is_some()).count();
        assert_eq!(known, requests.len());
    }
}
