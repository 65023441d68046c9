//! libswscale behind safe functions: every `unsafe` of this crate is here.
//!
//! Its names and numbers have been the same since FFmpeg 2: <https://ffmpeg.org/doxygen/trunk/group__libsws.html>.

#![expect(unsafe_code, reason = "libswscale is a C library")]

use std::ffi::{c_double, c_int, c_void};
use std::ptr::{self, NonNull};

use crate::plane::{Picture, PictureMut, Size};

/// `AV_PIX_FMT_YUV420P`
const I420: c_int = 0;
/// `SWS_BICUBIC`
const BICUBIC: c_int = 4;

#[link(name = "swscale")]
unsafe extern "C" {
    fn sws_getContext(
        from_width: c_int,
        from_height: c_int,
        from_format: c_int,
        to_width: c_int,
        to_height: c_int,
        to_format: c_int,
        flags: c_int,
        from_filter: *mut c_void,
        to_filter: *mut c_void,
        parameters: *const c_double,
    ) -> *mut c_void;
    fn sws_scale(
        context: *mut c_void,
        from: *const *const u8,
        from_strides: *const c_int,
        first_line: c_int,
        lines: c_int,
        to: *const *mut u8,
        to_strides: *const c_int,
    ) -> c_int;
    fn sws_freeContext(context: *mut c_void);
}

/// `SwsContext`
#[derive(Debug)]
pub(crate) struct Context(NonNull<c_void>);

// SAFETY: a context is bound to no thread, and is used through `&mut` alone.
unsafe impl Send for Context {}

impl Context {
    /// None where libswscale does not know how.
    pub(crate) fn new(from: Size, to: Size) -> Option<Self> {
        let sides = [from.width, from.height, to.width, to.height];
        let [from_width, from_height, to_width, to_height] = sides.map(int);
        // SAFETY: no pointer but null goes in, which stands for no filter and default parameters.
        let context = unsafe {
            sws_getContext(
                from_width,
                from_height,
                I420,
                to_width,
                to_height,
                I420,
                BICUBIC,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            )
        };
        NonNull::new(context).map(Self)
    }

    /// Scales whole pictures, which must hold the sizes of this context; returns the lines it made.
    pub(crate) fn scale(&mut self, from: &Picture<'_>, size: Size, to: &mut PictureMut<'_>) -> c_int {
        // A fourth plane is looked up, and not used.
        let mut read = [ptr::null(); 4];
        let mut written = [ptr::null_mut(); 4];
        let (mut read_strides, mut written_strides) = ([0; 4], [0; 4]);
        for ((plane, at), stride) in from.0.iter().zip(&mut read).zip(&mut read_strides) {
            (*at, *stride) = (plane.bytes.as_ptr(), stride_of(plane.stride));
        }
        for ((plane, at), stride) in to.0.iter_mut().zip(&mut written).zip(&mut written_strides) {
            (*at, *stride) = (plane.bytes.as_mut_ptr(), stride_of(plane.stride));
        }
        // SAFETY: the context is alive, the arrays have the four entries that are read, and each plane holds its lines,
        // which the caller has checked.
        unsafe {
            sws_scale(
                self.0.as_ptr(),
                read.as_ptr(),
                read_strides.as_ptr(),
                0,
                int(size.height),
                written.as_ptr(),
                written_strides.as_ptr(),
            )
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `sws_getContext`, and freed once.
        unsafe { sws_freeContext(self.0.as_ptr()) }
    }
}

/// Sides are bounded far below.
fn int(side: u32) -> c_int {
    c_int::try_from(side).unwrap_or(c_int::MAX)
}

/// What does not fit was refused before.
fn stride_of(stride: usize) -> c_int {
    c_int::try_from(stride).unwrap_or(0)
}
