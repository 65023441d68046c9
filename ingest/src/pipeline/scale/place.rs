//! PURE. Where a picture stands in a frame of another size.

use swscale::Scaler;
use swscale::plane::Size;

const BLACK_LUMA: u8 = 16;
const GREY_CHROMA: u8 = 128;

/// Where the picture is, inside the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) size: Size,
}

impl Place {
    /// What is only rounded to even pixels (16:9 as 854x480) fills the frame: bars a pixel wide would move the whole picture
    /// off its place, which costs 6 dB at the rung below.
    pub(super) fn new(from: Size, to: Size) -> Self {
        let [width, height, to_width, to_height] =
            [from.width, from.height, to.width, to.height].map(u64::from);
        let fills = (to_width * height).abs_diff(to_height * width) < 2 * height;
        let even = |side: u64, most: u32| {
            let side = u32::try_from(side).unwrap_or(most).next_multiple_of(2);
            side.clamp(Scaler::SIDE_MIN.min(most), most)
        };
        let size = if fills {
            to
        } else {
            Size {
                width: even(width * to_height / height.max(1), to.width),
                height: even(height * to_width / width.max(1), to.height),
            }
        };
        // Chroma has half the resolution, so that bars begin at even pixels.
        let middle = |outer: u32, inner: u32| (outer - inner) / 4 * 2;
        Self {
            left: middle(to.width, size.width),
            top: middle(to.height, size.height),
            size,
        }
    }

    /// First sample of the picture in a plane: bytes into the line, lines.
    pub(super) fn corner(self, plane: usize) -> (usize, usize) {
        let at = Size {
            width: self.left,
            height: self.top,
        };
        at.plane(plane)
    }

    /// Paints what the picture leaves of a plane.
    pub(super) fn bars(self, plane: usize, frame: Size, bytes: &mut [u8], stride: usize) {
        let black = if plane == 0 { BLACK_LUMA } else { GREY_CHROMA };
        let ((left, top), (width, height)) = (self.corner(plane), self.size.plane(plane));
        let (line_length, _) = frame.plane(plane);
        for (number, line) in bytes.chunks_mut(stride.max(1)).enumerate() {
            let length = line.len().min(line_length);
            let Some(line) = line.get_mut(..length) else {
                continue;
            };
            if (top..top + height).contains(&number) {
                let right = (left + width).min(length);
                let (before, after) = line.split_at_mut(right);
                after.fill(black);
                before.iter_mut().take(left).for_each(|sample| *sample = black);
            } else {
                line.fill(black);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn rungs_rounded_to_even_pixels_get_no_bars_and_other_shapes_do() {
        let sizes =
            [(1280, 720), (854, 480), (640, 360), (426, 240)].map(|(width, height)| of(width, height));
        for pair in sizes.windows(2) {
            let whole = Place {
                left: 0,
                top: 0,
                size: pair[1],
            };
            assert_eq!(Place::new(pair[0], pair[1]), whole);
        }
        let wide = of(1280, 720);
        let [boxed, square, tall] = [of(640, 480), of(360, 360), of(360, 640)].map(|to| Place::new(wide, to));
        assert_eq!((boxed.left, boxed.top, boxed.size), (0, 60, of(640, 360)));
        assert_eq!((square.left, square.top, square.size), (0, 78, of(360, 202)));
        assert_eq!((tall.left, tall.top, tall.size), (0, 218, of(360, 202)));
        let pillars = Place::new(of(360, 640), wide);
        assert_eq!((pillars.left, pillars.top, pillars.size), (436, 0, of(406, 720)));
    }
}
