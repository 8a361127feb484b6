//! What of glib is called (`gmain.h`).

use std::ffi::{c_int, c_uint, c_void};

/// `GSourceFuncs`.
#[repr(C)]
pub struct Functions {
    prepare: Prepare,
    check: Check,
    dispatch: Dispatch,
    unused: [usize; 3],
}

type Prepare = extern "C" fn(*mut Source, *mut c_int) -> c_int;
type Check = extern "C" fn(*mut Source) -> c_int;
type Dispatch = extern "C" fn(*mut Source, *const c_void, *const c_void) -> c_int;

impl Functions {
    /// Makes the table, without what is called at the end of a source.
    pub const fn new(prepare: Prepare, check: Check, dispatch: Dispatch) -> Self {
        let unused = [0; 3];
        Self {
            prepare,
            check,
            dispatch,
            unused,
        }
    }
}

/// A `GSource` with what is ours behind it.
#[repr(C)]
pub struct Source {
    theirs: [usize; 12], // sizeof(GSource): 96 bytes where pointers have 8.
    pub tag: *mut c_void,
    pub state: *mut c_void, // A (Server, Echo).
}
#[link(name = "glib-2.0")]
unsafe extern "C" {
    pub fn g_source_new(functions: *const Functions, size: c_uint) -> *mut Source;
    pub fn g_source_add_unix_fd(source: *mut Source, fd: c_int, events: c_uint) -> *mut c_void;
    pub fn g_source_query_unix_fd(source: *mut Source, tag: *mut c_void) -> c_uint;
    pub fn g_source_attach(source: *mut Source, context: *mut c_void) -> c_uint;
    pub fn g_main_loop_new(context: *mut c_void, is_running: c_int) -> *mut c_void;
    pub fn g_main_loop_run(main_loop: *mut c_void);
}
