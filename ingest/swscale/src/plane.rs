//! A picture in I420: luma, then two planes of half its width and height.

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

impl Size {
    /// Bytes in a line, and lines, of luma (0) or chroma.
    pub fn plane(self, index: usize) -> (usize, usize) {
        let part = if index == 0 { 1 } else { 2 };
        let side = |pixels: u32| usize::try_from(pixels / part).unwrap_or(usize::MAX);
        (side(self.width), side(self.height))
    }
}

/// Lines of samples, `stride` bytes from one to the next.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    /// From the first sample on.
    pub bytes: &'a [u8],
    /// At least a line's length.
    pub stride: usize,
}

/// The same, to be written.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    /// From the first sample on.
    pub bytes: &'a mut [u8],
    /// At least a line's length.
    pub stride: usize,
}

/// What is scaled.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a>(pub [Plane<'a>; 3]);

/// Where to.
#[derive(Debug)]
pub struct PictureMut<'a>(pub [PlaneMut<'a>; 3]);

impl Picture<'_> {
    pub(crate) fn holds(&self, size: Size) -> bool {
        all_hold(
            size,
            self.0.each_ref().map(|plane| (plane.bytes.len(), plane.stride)),
        )
    }
}

impl PictureMut<'_> {
    pub(crate) fn holds(&self, size: Size) -> bool {
        all_hold(
            size,
            self.0.each_ref().map(|plane| (plane.bytes.len(), plane.stride)),
        )
    }
}

fn all_hold(size: Size, planes: [(usize, usize); 3]) -> bool {
    planes.into_iter().enumerate().all(|(index, (length, stride))| {
        let (width, height) = size.plane(index);
        let needed = height
            .checked_sub(1)
            .and_then(|lines| lines.checked_mul(stride)?.checked_add(width));
        // The library counts strides in `int`.
        stride >= width && i32::try_from(stride).is_ok() && needed.is_some_and(|needed| needed <= length)
    })
}
