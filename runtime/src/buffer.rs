//! The row buffer: rows that the interpreter and native code write through addresses.
//!
//! It must not know who writes them, nor how many are written.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use crate::map::MapError;
use crate::row::{ROW_BYTES, Row};

/// Rows in an allocation of their own. No reference to it lasts: writers of rows have only the address, and a reference
/// to the whole would take away that address's right to write.
pub(crate) struct RowBuffer {
    start: NonNull<Row>,
    capacity: usize,
}

// SAFETY: it owns its rows, which are plain data.
unsafe impl Send for RowBuffer {}

impl RowBuffer {
    /// A buffer without rows.
    pub(crate) const EMPTY: RowBuffer = RowBuffer { start: NonNull::dangling(), capacity: 0 };

    /// Allocates this many zeroed rows.
    pub(crate) fn zeroed(capacity: usize) -> Result<RowBuffer, MapError> {
        if capacity == 0 {
            return Ok(RowBuffer::EMPTY);
        }
        let refused = || MapError::allocation(capacity.saturating_mul(ROW_BYTES));
        let layout = Layout::array::<Row>(capacity).map_err(|_| refused())?;
        // SAFETY: the layout has at least one row.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start.cast()).ok_or_else(refused)?;
        Ok(RowBuffer { start, capacity })
    }

    /// Returns the first row. Its address is exposed: the cursor is a number, and a writer turns it into a pointer.
    pub(crate) fn start(&self) -> *mut Row {
        self.start.as_ptr().expose_provenance();
        self.start.as_ptr()
    }

    /// Returns the address of the first byte behind the rows.
    pub(crate) fn end(&self) -> u64 {
        self.start.as_ptr().wrapping_add(self.capacity).addr() as u64
    }
}

impl Drop for RowBuffer {
    fn drop(&mut self) {
        if let (1.., Ok(layout)) = (self.capacity, Layout::array::<Row>(self.capacity)) {
            // SAFETY: `zeroed` allocated it with this layout, and every holder of addresses of its rows has the Vm that
            // owns it.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_zero_and_in_place() {
        let buffer = RowBuffer::zeroed(300).expect("there is room");
        assert_eq!(buffer.end() - buffer.start() as u64, 300 * ROW_BYTES as u64);
        // SAFETY: the buffer has this many rows, and nothing writes them.
        let rows = unsafe { std::slice::from_raw_parts(buffer.start(), 300) };
        assert!(rows.iter().all(|row| *row == Row::default()));
        let empty = RowBuffer::zeroed(0).expect("it takes no room");
        assert_eq!(empty.start() as u64, empty.end());
        let error = RowBuffer::zeroed(usize::MAX).err().expect("there is no room");
        assert_eq!(error.action, "allocate");
    }
}
