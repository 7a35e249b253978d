//! The triangle of a tall matrix of real numbers, row panel after row panel: `R := triangle of [R; next rows]`.
//!
//! A panel is copied column after column into a buffer that stays in the processor's second cache, so the matrix is read
//! once however many columns it has. Inside the panel, groups of eight columns are annihilated against R by reflections
//! in compact WY form (as in `householder`, whose conventions hold here), and each group is applied to the columns right
//! of it three at a time: inner products, the small triangle T and the update follow each other while the three columns
//! are in the first cache. All of it is vector code, with AVX-512 or AVX2 where the processor has them.
//!
//! Rows of R come out with signs that depend on where the panels end, unlike those of `householder`; and inner products
//! are taken without rescaling. A number whose square could leave the range, and NaN, make [`triangle`] give up, and the
//! caller turns to `householder`.

// Loops of constant length over several arrays at once, which the compiler unrolls into registers.
#![allow(clippy::needless_range_loop)]

use crate::columns::{Lanes, Plain};
use crate::mat::Mat;
use crate::scalar::{RealScalar, Scalar};
use crate::stop::ask;
use crate::view::MatRef;

/// Columns in a group of reflections.
const GROUP: usize = 8;

/// A matrix in memory: where it begins, its rows, its columns, and its strides in elements.
#[derive(Clone, Copy)]
pub(crate) struct Source<R> {
    start: *const R,
    nrows: usize,
    ncols: usize,
    row_stride: isize,
    col_stride: isize,
}

/// The real types, with the choice among instruction sets behind them.
pub(crate) trait Tall: RealScalar {
    /// See [`reduce`].
    ///
    /// # Safety
    /// Every position of `a` is readable; `r` and `panel` are as [`reduce`] asks for any instruction set.
    unsafe fn reduce(a: Source<Self>, r: &mut [Self], panel: &mut [Self], height: usize) -> Option<()>;
}

/// Rows of a panel: as many as leave a group and the three columns that it meets in a first cache of 48 KiB, and not a
/// power of two, which would put all columns on the same cache lines. Measured from 128 to 1024 rows: 448 numbers of eight
/// bytes are best at 100 columns, a tenth off the best at 20 and 300, and 34 and 18 % faster than 256 and 768 at 100. All
/// panels of a matrix have about the same height, so that no filling of zeros takes time.
fn panel_height(nrows: usize, size: usize) -> usize {
    let panels = nrows.div_ceil(3584 / size);
    nrows.div_ceil(panels).next_multiple_of(16)
}

/// The upper triangle R with `Rᵀ R = Aᵀ A`, rows of either sign, row-major. `None` if the matrix is not tall or holds
/// numbers that need care.
pub(crate) fn triangle<R: Tall>(a: MatRef<'_, R>) -> Option<Mat<R>> {
    let (m, n) = (a.nrows(), a.ncols());
    if n == 0 || m < 2 * n || m < 64 {
        return None;
    }
    let height = panel_height(m, size_of::<R>());
    let width = n.next_multiple_of(GROUP);
    let mut r = vec![R::ZERO; width * width];
    // A lane's worth more, so that the first column can begin at an address that vectors like.
    let mut panel = vec![R::ZERO; height * width + 64 / size_of::<R>()];
    let skip = panel.as_ptr().align_offset(64).min(64 / size_of::<R>());
    let source = Source {
        start: a.as_ptr(),
        nrows: m,
        ncols: n,
        row_stride: a.row_stride(),
        col_stride: a.col_stride(),
    };
    // SAFETY: a MatRef promises that its positions are readable; the buffers have the sizes that `reduce` asks for.
    unsafe { R::reduce(source, &mut r, &mut panel[skip..], height)? };
    Some(Mat::from_fn(n, n, |i, j| if i <= j { r[j * width + i] } else { R::ZERO }))
}

/// Copies rows of `a` into columns of `height` numbers, zeros below the last row.
///
/// # Safety
/// Rows `first..first + rows` of `a` are readable and `panel` has room for its columns.
#[inline(always)]
unsafe fn pack<R: RealScalar>(a: Source<R>, first: usize, rows: usize, panel: *mut R, height: usize) {
    const SIDE: usize = 16;
    // SAFETY: rows stay below `rows <= height`, columns below the number of columns.
    unsafe {
        let start = a.start.offset(first as isize * a.row_stride);
        let whole = rows - rows % SIDE;
        let mut i = 0;
        while i < whole {
            // Sixteen rows are read side by side, and each column's part is written in whole cache lines.
            let from = start.offset(i as isize * a.row_stride);
            for c in 0..a.ncols {
                let from = from.offset(c as isize * a.col_stride);
                let to = panel.add(c * height + i);
                for k in 0..SIDE {
                    *to.add(k) = *from.offset(k as isize * a.row_stride);
                }
            }
            i += SIDE;
        }
        for c in 0..a.ncols {
            let from = start.offset(c as isize * a.col_stride);
            for i in whole..rows {
                *panel.add(c * height + i) = *from.offset(i as isize * a.row_stride);
            }
            for i in rows..height {
                *panel.add(c * height + i) = R::ZERO;
            }
        }
    }
}

/// One reflection's pass over a group: scales column `J` to a reflection, updates the columns right of it with
/// `factors`, and returns the inner products of all eight with the updated column `J + 1`.
///
/// # Safety
/// `x` points at eight columns of `height` numbers, a multiple of `V::COUNT`, and the processor has the instructions.
#[inline(always)]
unsafe fn sweep<V: Lanes, const J: usize>(
    x: *mut V::Real,
    height: usize,
    scale: V::Real,
    factors: &[V::Real; GROUP],
) -> [V::Real; GROUP] {
    // SAFETY: every offset is below `GROUP * height`.
    unsafe {
        let zero = V::splat(V::Real::ZERO);
        let mut acc = [zero; GROUP];
        let mut g = [zero; GROUP];
        for c in 0..GROUP {
            g[c] = V::splat(if c == J { scale } else { factors[c] });
        }
        let mut i = 0;
        while i < height {
            let own = V::load(x.add(J * height + i));
            let own_scaled = zero.plus_product(own, g[J]);
            own_scaled.store(x.add(J * height + i));
            if J + 1 < GROUP {
                let next = V::load(x.add((J + 1) * height + i)).plus_product(own, g[J + 1]);
                next.store(x.add((J + 1) * height + i));
                for c in 0..J {
                    acc[c] = acc[c].plus_product(V::load(x.add(c * height + i)), next);
                }
                acc[J] = acc[J].plus_product(own_scaled, next);
                acc[J + 1] = acc[J + 1].plus_product(next, next);
                for c in J + 2..GROUP {
                    let column = V::load(x.add(c * height + i)).plus_product(own, g[c]);
                    column.store(x.add(c * height + i));
                    acc[c] = acc[c].plus_product(column, next);
                }
            }
            i += V::COUNT;
        }
        let mut out = [V::Real::ZERO; GROUP];
        for c in 0..GROUP {
            out[c] = acc[c].sum();
        }
        out
    }
}

/// Annihilates a group of eight columns, of which `count` are real and the others zero, against their rows of R.
/// Returns T; `None` if a number needs care.
///
/// # Safety
/// As for [`sweep`]; `r` points at the group's diagonal block in columns `ld` apart.
#[inline(always)]
unsafe fn group<V: Lanes>(
    x: *mut V::Real,
    height: usize,
    r: *mut V::Real,
    ld: usize,
    count: usize,
) -> Option<[[V::Real; GROUP]; GROUP]> {
    let (zero, one) = (V::Real::ZERO, V::Real::ONE);
    // Inside these bounds neither a sum of squares nor a product that matters beside it has lost anything.
    let least = V::Real::TINY / V::Real::EPS / V::Real::EPS;
    let most = one / least;
    let mut t = [[zero; GROUP]; GROUP];
    // SAFETY: positions of R stay in its diagonal block; the rest is the caller's promise.
    unsafe {
        let mut dots = [zero; GROUP];
        {
            let mut acc = [V::splat(zero); GROUP];
            let mut i = 0;
            while i < height {
                let own = V::load(x.add(i));
                for c in 0..GROUP {
                    acc[c] = acc[c].plus_product(V::load(x.add(c * height + i)), own);
                }
                i += V::COUNT;
            }
            for c in 0..GROUP {
                dots[c] = acc[c].sum();
            }
        }
        for j in 0..count {
            let squares = dots[j];
            let (mut tau, mut scale) = (zero, zero);
            if squares >= least && squares <= most {
                let alpha = *r.add(j * ld + j);
                let beta = -alpha.hypotenuse(squares.root()).with_sign(alpha);
                tau = (beta - alpha) / beta;
                scale = one / (alpha - beta);
                *r.add(j * ld + j) = beta;
            } else if squares != zero || (0..height).any(|i| *x.add(j * height + i) != zero) {
                return None;
            }
            let mut factors = [zero; GROUP];
            for c in j + 1..count {
                let w = tau * (*r.add(c * ld + j) + scale * dots[c]);
                *r.add(c * ld + j) = *r.add(c * ld + j) - w;
                factors[c] = -w * scale;
            }
            // The new column of T couples this reflection to those before it.
            for i in 0..j {
                let mut sum = zero;
                for k in i..j {
                    sum = sum + t[i][k] * (scale * dots[k]);
                }
                t[i][j] = -tau * sum;
            }
            t[j][j] = tau;
            dots = match j {
                0 => sweep::<V, 0>(x, height, scale, &factors),
                1 => sweep::<V, 1>(x, height, scale, &factors),
                2 => sweep::<V, 2>(x, height, scale, &factors),
                3 => sweep::<V, 3>(x, height, scale, &factors),
                4 => sweep::<V, 4>(x, height, scale, &factors),
                5 => sweep::<V, 5>(x, height, scale, &factors),
                6 => sweep::<V, 6>(x, height, scale, &factors),
                _ => sweep::<V, 7>(x, height, scale, &factors),
            };
        }
    }
    Some(t)
}

/// Applies a group's reflections `x` to `C` columns `y` and their rows `r` of R, `H` reflections at a time.
///
/// # Safety
/// As for [`group`], with `y` and `r` at `C` columns.
#[inline(always)]
unsafe fn update<V: Lanes, const H: usize, const C: usize>(
    x: *const V::Real,
    t: &[[V::Real; GROUP]; GROUP],
    y: *mut V::Real,
    height: usize,
    r: *mut V::Real,
    ld: usize,
) {
    // SAFETY: every offset is below `GROUP * height` in `x`, `C * height` in `y`, eight rows of `C` columns in `r`.
    unsafe {
        let zero = V::splat(V::Real::ZERO);
        let mut w = [[V::Real::ZERO; C]; GROUP];
        for part in 0..GROUP / H {
            let x = x.add(part * H * height);
            let mut acc = [[zero; C]; H];
            let mut i = 0;
            while i < height {
                let mut ys = [zero; C];
                for c in 0..C {
                    ys[c] = V::load(y.add(c * height + i));
                }
                for h in 0..H {
                    let v = V::load(x.add(h * height + i));
                    for c in 0..C {
                        acc[h][c] = acc[h][c].plus_product(v, ys[c]);
                    }
                }
                i += V::COUNT;
            }
            for h in 0..H {
                for c in 0..C {
                    w[part * H + h][c] = acc[h][c].sum() + *r.add(c * ld + part * H + h);
                }
            }
        }
        // W becomes -Tᵀ W, the last row first, since each needs those above it.
        for i in (0..GROUP).rev() {
            for c in 0..C {
                let mut sum = V::Real::ZERO;
                for k in 0..=i {
                    sum = sum + t[k][i] * w[k][c];
                }
                w[i][c] = -sum;
                *r.add(c * ld + i) = *r.add(c * ld + i) - sum;
            }
        }
        for part in 0..GROUP / H {
            let x = x.add(part * H * height);
            let mut ws = [[zero; C]; H];
            for h in 0..H {
                for c in 0..C {
                    ws[h][c] = V::splat(w[part * H + h][c]);
                }
            }
            let mut i = 0;
            while i < height {
                let mut ys = [zero; C];
                for c in 0..C {
                    ys[c] = V::load(y.add(c * height + i));
                }
                for h in 0..H {
                    let v = V::load(x.add(h * height + i));
                    for c in 0..C {
                        ys[c] = ys[c].plus_product(v, ws[h][c]);
                    }
                }
                for c in 0..C {
                    ys[c].store(y.add(c * height + i));
                }
                i += V::COUNT;
            }
        }
    }
}

/// All panels. `r` is zero on entry, `width` by `width` column-major for `width` the columns rounded up to groups;
/// `panel` is zero too and holds `width` columns of `height` numbers, a multiple of `V::COUNT`.
///
/// # Safety
/// Every position of `a` is readable, and the processor has the instructions of `V`.
#[inline(always)]
unsafe fn reduce<V: Lanes, const H: usize>(
    a: Source<V::Real>,
    r: &mut [V::Real],
    panel: &mut [V::Real],
    height: usize,
) -> Option<()> {
    let n = a.ncols;
    let ld = n.next_multiple_of(GROUP);
    assert!(
        r.len() == ld * ld && panel.len() >= ld * height && height.is_multiple_of(V::COUNT),
        "buffers of the right size"
    );
    let (r, panel) = (r.as_mut_ptr(), panel.as_mut_ptr());
    // SAFETY: columns below stay under `ld`, rows of the source under its number of rows; see the assertion.
    unsafe {
        for first in (0..a.nrows).step_by(height) {
            ask();
            pack(a, first, height.min(a.nrows - first), panel, height);
            for j in (0..n).step_by(GROUP) {
                let x = panel.add(j * height);
                let t = group::<V>(x, height, r.add(j * ld + j), ld, GROUP.min(n - j))?;
                let mut c = j + GROUP;
                while c + 3 <= n {
                    update::<V, H, 3>(x, &t, panel.add(c * height), height, r.add(c * ld + j), ld);
                    c += 3;
                }
                while c < n {
                    update::<V, H, 1>(x, &t, panel.add(c * height), height, r.add(c * ld + j), ld);
                    c += 1;
                }
            }
        }
    }
    Some(())
}

macro_rules! tall {
    ($($real:ident, $wide:ident, $half:ident;)*) => {$(
        impl Tall for $real {
            unsafe fn reduce(a: Source<$real>, r: &mut [$real], panel: &mut [$real], height: usize) -> Option<()> {
                #[cfg(target_arch = "x86_64")]
                {
                    use crate::columns::x86;
                    #[target_feature(enable = "avx512f")]
                    unsafe fn wide(
                        a: Source<$real>, r: &mut [$real], panel: &mut [$real], height: usize,
                    ) -> Option<()> {
                        // SAFETY: the caller's promises are the same.
                        unsafe { reduce::<x86::$wide, 8>(a, r, panel, height) }
                    }
                    #[target_feature(enable = "avx2,fma")]
                    unsafe fn half(
                        a: Source<$real>, r: &mut [$real], panel: &mut [$real], height: usize,
                    ) -> Option<()> {
                        // SAFETY: the caller's promises are the same.
                        unsafe { reduce::<x86::$half, 4>(a, r, panel, height) }
                    }
                    if is_x86_feature_detected!("avx512f") {
                        // SAFETY: the caller's promises, and the instructions were just found.
                        return unsafe { wide(a, r, panel, height) };
                    }
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        // SAFETY: the caller's promises, and the instructions were just found.
                        return unsafe { half(a, r, panel, height) };
                    }
                }
                // SAFETY: the caller's promises are the same, and any processor will do.
                unsafe { reduce::<Plain<$real>, 4>(a, r, panel, height) }
            }
        }
    )*};
}

tall! {
    f32, Wide32, Half32;
    f64, Wide64, Half64;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The triangle that one instruction set makes of a fixed matrix of 150 rows and 13 columns, in panels of 48 rows.
    fn made<V: Lanes, const H: usize>() -> Vec<f64> {
        let a: Vec<V::Real> =
            (0..150 * 13).map(|i| V::Real::from_f64(((i * i) as f64 * 0.7).sin())).collect();
        let (mut r, mut panel) = (vec![V::Real::ZERO; 256], vec![V::Real::ZERO; 16 * 48]);
        let source = Source { start: a.as_ptr(), nrows: 150, ncols: 13, row_stride: 1, col_stride: 150 };
        // SAFETY: the vector holds the matrix; the caller has asked for the instructions.
        unsafe { reduce::<V, H>(source, &mut r, &mut panel, 48).expect("numbers of ordinary size") };
        (0..13).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| r[i * 16 + j].to_f64()).collect()
    }

    #[test]
    fn instruction_sets_agree() {
        let check = |got: Vec<f64>, tol: f64| {
            for (x, y) in got.iter().zip(made::<Plain<f64>, 8>()) {
                assert!((x - y).abs() < tol, "{x} {y}");
            }
        };
        check(made::<Plain<f64>, 4>(), 1e-12);
        check(made::<Plain<f32>, 4>(), 1e-4);
        #[cfg(target_arch = "x86_64")]
        {
            use crate::columns::x86;
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                check(made::<x86::Half64, 4>(), 1e-12);
                check(made::<x86::Half32, 4>(), 1e-4);
            }
            if is_x86_feature_detected!("avx512f") {
                check(made::<x86::Wide64, 8>(), 1e-12);
                check(made::<x86::Wide32, 8>(), 1e-4);
            }
        }
    }
}
