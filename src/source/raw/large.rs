//! Large memory goes back to the system as soon as it is free: a client's responses with large records, and what becomes of them.
//!
//! The allocator has an arena for it, and would keep what is freed there for as long as all else (`.cargo/config.toml`), which makes up to
//! 50 MB with messages of 10 MB. For small memory that pays: the next fetch takes what the last one left.

use std::ffi::CString;
use std::ptr;
use std::sync::Once;

use tikv_jemalloc_sys::mallctl;

/// From this size on memory is large (`opt.oversize_threshold` in jemalloc(3)), in bytes.
const LARGE: usize = 8 << 20;

/// Has large memory given back at once from now on.
pub(in crate::source) fn give_back_at_once() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if arena_of_large().is_none_or(|arena| !purge_at_once(arena)) {
            tracing::debug!("the allocator keeps large memory that is free for a moment");
        }
    });
}

/// The arena that large memory is in. It comes to be with the first that is taken; no page of that is touched.
fn arena_of_large() -> Option<u32> {
    let large = Vec::<u8>::with_capacity(LARGE);
    let (memory, mut arena) = (large.as_ptr(), 0_u32);
    let mut len = size_of_val(&arena);
    // SAFETY: "arenas.lookup" reads a pointer, which it doesn't follow, and writes an unsigned; both are given with their sizes.
    let failed = unsafe {
        mallctl(
            c"arenas.lookup".as_ptr(),
            (&raw mut arena).cast(),
            &raw mut len,
            (&raw const memory).cast_mut().cast(),
            size_of_val(&memory),
        )
    };
    (failed == 0).then_some(arena)
}

/// Lets nothing stand free in the arena; whether the allocator agreed.
fn purge_at_once(arena: u32) -> bool {
    let Ok(name) = CString::new(format!("arena.{arena}.dirty_decay_ms")) else { return false };
    let mut milliseconds = 0_isize;
    // SAFETY: reads the ssize_t that it is given with its size, and writes nothing.
    let failed = unsafe {
        mallctl(
            name.as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            (&raw mut milliseconds).cast(),
            size_of_val(&milliseconds),
        )
    };
    failed == 0
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;
    use crate::memory::resident;

    #[test]
    fn given_large_memory_when_it_is_freed_then_the_system_has_it_at_once() {
        const BYTES: usize = 256 << 20;
        give_back_at_once();
        let large = black_box(vec![1_u8; BYTES]);
        let before = resident().expect("the system says it");
        drop(large);
        let after = resident().expect("the system says it");
        assert!(after + BYTES as u64 / 2 < before, "{before} bytes were resident, and then {after}");
    }
}
