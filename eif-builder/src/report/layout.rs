//! A squarified treemap: rectangles of given areas that fill a rectangle and are as square as possible.
//!
//! Source: Bruls, Huizing, van Wijk, "Squarified Treemaps" (2000). Plain IEEE arithmetic in a fixed order, so the same
//! sizes give the same numbers on every machine.

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Rect {
    /// The rectangle without a margin on each side; not smaller than nothing.
    #[must_use]
    pub fn inset(self, margin: f64, top: f64) -> Self {
        Self {
            x: self.x + margin,
            y: self.y + top,
            width: (self.width - 2.0 * margin).max(0.0),
            height: (self.height - top - margin).max(0.0),
        }
    }

    fn area(self) -> f64 {
        self.width * self.height
    }
}

/// One rectangle for each size, in their order, which should be from the largest to the smallest. Together they fill
/// `space`. Sizes of 0 get a rectangle without area.
#[must_use]
pub fn squarify(sizes: &[u64], space: Rect) -> Vec<Rect> {
    let total: f64 = sizes.iter().map(|size| number(*size)).sum();
    let mut placed = Vec::with_capacity(sizes.len());
    if total <= 0.0 || space.area() <= 0.0 {
        let Rect { x, y, .. } = space;
        let nothing = Rect {
            x,
            y,
            width: 0.0,
            height: 0.0,
        };
        return vec![nothing; sizes.len()];
    }
    let scale = space.area() / total;
    let areas: Vec<f64> = sizes.iter().map(|size| number(*size) * scale).collect();
    let mut rest = space;
    let mut todo = areas.as_slice();
    while !todo.is_empty() {
        let side = rest.width.min(rest.height);
        let mut count = 1;
        while count < todo.len() && worst(todo, count + 1, side) <= worst(todo, count, side) {
            count += 1;
        }
        let (row, later) = todo.split_at(count);
        rest = place(row, rest, &mut placed);
        todo = later;
    }
    placed
}

/// The worst ratio of sides when the first `count` areas share a row along a side of that length.
fn worst(areas: &[f64], count: usize, side: f64) -> f64 {
    let row = areas.get(..count).unwrap_or(areas);
    let sum: f64 = row.iter().sum();
    let ratios = row.iter().map(|area| {
        let (long, short) = (side * side * area, sum * sum);
        (long / short).max(short / long)
    });
    ratios.fold(0.0, f64::max)
}

/// Places a row along the shorter side and gives what is left.
fn place(row: &[f64], space: Rect, placed: &mut Vec<Rect>) -> Rect {
    let sum: f64 = row.iter().sum();
    let Rect {
        mut x,
        mut y,
        width,
        height,
    } = space;
    if width >= height {
        let across = if height > 0.0 {
            (sum / height).min(width)
        } else {
            0.0
        };
        for area in row {
            let along = if across > 0.0 { area / across } else { 0.0 };
            placed.push(Rect {
                x,
                y,
                width: across,
                height: along,
            });
            y += along;
        }
        Rect {
            x: space.x + across,
            width: width - across,
            ..space
        }
    } else {
        let across = if width > 0.0 {
            (sum / width).min(height)
        } else {
            0.0
        };
        for area in row {
            let along = if across > 0.0 { area / across } else { 0.0 };
            placed.push(Rect {
                x,
                y,
                width: along,
                height: across,
            });
            x += along;
        }
        Rect {
            y: space.y + across,
            height: height - across,
            ..space
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture needs no 64 bits")]
const fn number(size: u64) -> f64 {
    size as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: Rect = Rect {
        x: 0.0,
        y: 0.0,
        width: 6.0,
        height: 4.0,
    };

    /// The example of the paper, figure 5.
    #[test]
    fn the_papers_example() {
        let placed = squarify(&[6, 6, 4, 3, 2, 2, 1], SPACE);
        let expected = [
            (0.0, 0.0, 3.0, 2.0),
            (0.0, 2.0, 3.0, 2.0),
            (3.0, 0.0, 12.0 / 7.0, 7.0 / 3.0),
            (3.0 + 12.0 / 7.0, 0.0, 9.0 / 7.0, 7.0 / 3.0),
        ];
        for (rect, (x, y, width, height)) in placed.iter().zip(expected) {
            for (is, should) in [
                (rect.x, x),
                (rect.y, y),
                (rect.width, width),
                (rect.height, height),
            ] {
                assert!((is - should).abs() < 1e-9, "{rect:?}");
            }
        }
    }

    #[test]
    fn areas_are_kept_and_nothing_overlaps_or_leaves() {
        let sizes = [900, 500, 499, 30, 20, 10, 5, 1, 1, 0];
        let placed = squarify(&sizes, SPACE);
        assert_eq!(placed.len(), sizes.len());
        let total: u64 = sizes.iter().sum();
        for (size, rect) in sizes.iter().zip(&placed) {
            let share = number(*size) / number(total) * 24.0;
            assert!((rect.area() - share).abs() < 1e-6, "{size}: {rect:?}");
            assert!(rect.x >= -1e-9 && rect.x + rect.width <= 6.0 + 1e-6, "{rect:?}");
            assert!(rect.y >= -1e-9 && rect.y + rect.height <= 4.0 + 1e-6, "{rect:?}");
        }
        for (index, one) in placed.iter().enumerate() {
            for other in &placed[index + 1..] {
                let across = (one.x + one.width).min(other.x + other.width) - one.x.max(other.x);
                let down = (one.y + one.height).min(other.y + other.height) - one.y.max(other.y);
                assert!(across.min(down) < 1e-6, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn nothing_to_place_is_no_error() {
        assert_eq!(squarify(&[], SPACE), []);
        for rect in squarify(&[0, 0], SPACE)
            .into_iter()
            .chain(squarify(&[5], SPACE.inset(4.0, 4.0)))
        {
            assert!(rect.area() < 1e-9 && rect.width.is_finite(), "{rect:?}");
        }
        let huge = squarify(&[u64::MAX, u64::MAX, 1], SPACE);
        assert!(
            huge.iter()
                .all(|rect| rect.width.is_finite() && rect.height.is_finite())
        );
    }
}
