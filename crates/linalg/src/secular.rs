//! The singular value decomposition of a matrix that is zero but for its diagonal and its first row: the small problem
//! that joins two halves in the divide and conquer of `divide`.
//!
//! With diagonal `d` (ascending, `d[0] = 0`) and first row `z`, the singular values are the roots of the secular
//! equation `1 + sum z_k² / (d_k² - s²) = 0`, one between each two neighbours of `d`. Each is found as the distance
//! from the nearer neighbour, by steps that solve a rational model of the equation, inside of a bracket that is halved
//! when a step does not bring enough. Then, after Gu and Eisenstat, `z` is replaced by the row for which the roots found
//! are exact, which makes the vectors orthogonal to working precision, however close the roots lie.
//!
//! All in `f64`, also for `f32` matrices: the work is of second order, and the squares of small numbers stay in range.

/// A singular value as `d[pole] + offset`: differences to the entries of `d` keep their relative precision.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Root {
    pole: f64,
    offset: f64,
}

impl Root {
    pub fn value(self) -> f64 {
        self.pole + self.offset
    }
    /// `d² - s²`
    #[inline(always)]
    fn gap(self, d: f64) -> f64 {
        ((d - self.pole) - self.offset) * ((d + self.pole) + self.offset)
    }
}

/// Partial sums in which loops are vectorised.
const LANES: usize = 8;

/// The sum of `z²/gap` and its derivative by `s²` over some of the poles.
#[inline(always)]
fn sums_plain(d: &[f64], z: &[f64], root: Root) -> (f64, f64) {
    let (mut value, mut slope) = ([0.0; LANES], [0.0; LANES]);
    let (dc, zc) = (d.chunks_exact(LANES), z.chunks_exact(LANES));
    let mut rest = (0.0, 0.0);
    for (&d, &z) in dc.remainder().iter().zip(zc.remainder()) {
        let t = z / root.gap(d);
        rest = (rest.0 + z * t, rest.1 + t * t);
    }
    for (d, z) in dc.zip(zc) {
        for lane in 0..LANES {
            let t = z[lane] / root.gap(d[lane]);
            value[lane] += z[lane] * t;
            slope[lane] += t * t;
        }
    }
    (value.iter().sum::<f64>() + rest.0, slope.iter().sum::<f64>() + rest.1)
}

/// The product, over the entries of `d` and as many roots, of the roots' gaps at `at` over `d² - at²`.
#[inline(always)]
fn ratios_plain(d: &[f64], roots: &[Root], at: f64) -> f64 {
    let mut product = [1.0; LANES];
    let (dc, rc) = (d.chunks_exact(LANES), roots.chunks_exact(LANES));
    let mut rest = 1.0;
    for (&d, root) in dc.remainder().iter().zip(rc.remainder()) {
        rest *= root.gap(at) / ((at - d) * (at + d));
    }
    for (d, root) in dc.zip(rc) {
        for lane in 0..LANES {
            product[lane] *= root[lane].gap(at) / ((at - d[lane]) * (at + d[lane]));
        }
    }
    product.iter().product::<f64>() * rest
}

/// `v = z / gap` and `u = d v`, with `u[0] = -1`, both normalised.
#[inline(always)]
fn vectors_plain(d: &[f64], z: &[f64], root: Root, u: &mut [f64], v: &mut [f64]) {
    let (mut uu, mut vv) = ([0.0; LANES], [0.0; LANES]);
    let len = d.len();
    let (d, z, u, v) = (&d[..len], &z[..len], &mut u[..len], &mut v[..len]);
    for i in 0..len {
        v[i] = z[i] / root.gap(d[i]);
        u[i] = d[i] * v[i];
    }
    u[0] = -1.0;
    for (u, v) in u.chunks(LANES).zip(v.chunks(LANES)) {
        for (lane, (u, v)) in u.iter().zip(v).enumerate() {
            uu[lane] += u * u;
            vv[lane] += v * v;
        }
    }
    let (uf, vf) = (uu.iter().sum::<f64>().sqrt().recip(), vv.iter().sum::<f64>().sqrt().recip());
    u.iter_mut().for_each(|u| *u *= uf);
    v.iter_mut().for_each(|v| *v *= vf);
}

/// One function compiled for the processor at hand.
macro_rules! dispatched {
    ($(fn $name:ident = $plain:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {$(
        fn $name($($arg: $ty),*) -> $ret {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,fma")]
                fn wide($($arg: $ty),*) -> $ret {
                    $plain($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn half($($arg: $ty),*) -> $ret {
                    $plain($($arg),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("fma")
                {
                    // SAFETY: the instructions were just found.
                    return unsafe { wide($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the instructions were just found.
                    return unsafe { half($($arg),*) };
                }
            }
            $plain($($arg),*)
        }
    )*};
}

dispatched! {
    fn sums = sums_plain(d: &[f64], z: &[f64], root: Root) -> (f64, f64);
    fn ratios = ratios_plain(d: &[f64], roots: &[Root], at: f64) -> f64;
    fn vectors = vectors_plain(d: &[f64], z: &[f64], root: Root, u: &mut [f64], v: &mut [f64]) -> ();
}

/// The positive or negative step `x` with `c - near/x + far/(distance - x) = 0` that lies between the poles, both
/// weights positive; `distance` has the sign of the way to the far pole, and so has `x`.
fn two_poles(c: f64, near: f64, far: f64, distance: f64) -> f64 {
    // For a far pole below, the equation's mirror image.
    let (c, sign, distance) = if distance > 0.0 { (c, 1.0, distance) } else { (-c, -1.0, -distance) };
    let a = c * distance + near + far;
    let b = near * distance;
    let root = (a * a - 4.0 * b * c).max(0.0).sqrt();
    sign * if a > 0.0 { 2.0 * b / (a + root) } else { (a - root) / (2.0 * c) }
}

/// The root between `d[i]` and the next entry, or above the last. `None` if the numbers are not finite.
pub(crate) fn root(d: &[f64], z: &[f64], i: usize) -> Option<Root> {
    let k = d.len();
    let last = i + 1 == k;
    // The interval as a distance from its lower end.
    let width = if last {
        let norm2 = z.iter().map(|z| z * z).sum::<f64>();
        // Above the root by more than rounding.
        norm2 / (d[i] + (d[i] * d[i] + norm2).sqrt()) * (1.0 + 4.0 * f64::EPSILON)
    } else {
        d[i + 1] - d[i]
    };
    let evaluate = |at: Root| {
        let (below, below_slope) = sums(&d[..=i], &z[..=i], at);
        let (above, above_slope) = sums(&d[i + 1..], &z[i + 1..], at);
        (1.0 + below + above, below_slope, above_slope, 1.0 - below + above)
    };
    let middle = Root { pole: d[i], offset: 0.5 * width };
    let (f_middle, ..) = evaluate(middle);
    if !f_middle.is_finite() {
        return None;
    }
    // From the nearer pole, a bracket, and a first guess from the two poles' model.
    let mut at = Root { pole: d[i], offset: 0.0 };
    let (mut low, mut high);
    if last {
        (low, high) = if f_middle > 0.0 { (0.0, 0.5 * width) } else { (0.5 * width, width) };
        // The model of the nearest pole alone.
        let c = f_middle - z[i] * z[i] / middle.gap(d[i]);
        let x = z[i] * z[i] / c;
        at.offset = x / (d[i] + (d[i] * d[i] + x).max(0.0).sqrt());
    } else {
        let (zi, zn) = (z[i] * z[i], z[i + 1] * z[i + 1]);
        let c = f_middle - zi / middle.gap(d[i]) - zn / middle.gap(d[i + 1]);
        let distance = width * (d[i + 1] + d[i]);
        let x = if f_middle >= 0.0 {
            (low, high) = (0.0, 0.5 * width);
            two_poles(c, zi, zn, distance)
        } else {
            at.pole = d[i + 1];
            (low, high) = (-0.5 * width, 0.0);
            two_poles(c, zn, zi, -distance)
        };
        at.offset = x / (at.pole + (at.pole * at.pole + x).max(0.0).sqrt());
    }
    let inside = |x: f64, low: f64, high: f64| x > low && x < high;
    let mut previous = f64::INFINITY;
    // Halving alone would need about sixty steps for each factor 2^60 by which a root is nearer to its pole than the
    // other is, and the logarithmic halving below far fewer.
    for attempt in 0..400 {
        if !inside(at.offset, low, high) {
            at.offset = halve(low, high);
            if !inside(at.offset, low, high) {
                return Some(at);
            }
        }
        let (f, below_slope, above_slope, size) = evaluate(at);
        if f.abs() <= 4.0 * f64::EPSILON * size {
            return Some(at);
        }
        if f > 0.0 {
            high = at.offset;
        } else {
            low = at.offset;
        }
        if high - low <= 2.0 * f64::EPSILON * low.abs().max(high.abs()) {
            return Some(at);
        }
        let stalled = f.abs() > 0.5 * previous || attempt > 60;
        previous = if stalled { f64::INFINITY } else { f.abs() };
        if stalled && attempt > 1 {
            at.offset = halve(low, high);
            continue;
        }
        // The model `c + p/(gap_i) + q/(gap_n)` whose halves agree with those of the equation in their slopes.
        let gap_i = at.gap(d[i]);
        let x = if last {
            let slope = below_slope;
            let c = f - slope * gap_i;
            gap_i + slope * gap_i * gap_i / c
        } else {
            let gap_n = at.gap(d[i + 1]);
            let c = f - gap_i * below_slope - gap_n * above_slope;
            let a = (gap_i + gap_n) * f - gap_i * gap_n * (below_slope + above_slope);
            let b = gap_i * gap_n * f;
            let root = (a * a - 4.0 * b * c).max(0.0).sqrt();
            if a <= 0.0 { (a - root) / (2.0 * c) } else { 2.0 * b / (a + root) }
        };
        let value = at.value();
        let step = x / (value + (value * value + x).max(0.0).sqrt());
        let next = at.offset + step;
        if next == at.offset {
            return Some(at);
        }
        // NaN is outside of every bracket.
        at.offset = next;
    }
    None
}

/// A point in the middle of a bracket, by magnitude if its ends are far apart; both ends have the same sign, or one
/// is zero.
fn halve(low: f64, high: f64) -> f64 {
    let (small, large) = if low >= 0.0 { (low, high) } else { (-high, -low) };
    let sign = if low >= 0.0 { 1.0 } else { -1.0 };
    sign * if small > 0.0 && large > 16.0 * small {
        (small * large).sqrt()
    } else if small <= 0.0 {
        large * 0.0078125
    } else {
        0.5 * (small + large)
    }
}

/// The entry `i` of the first row for which all of `roots` are exact.
pub(crate) fn corrected(d: &[f64], z: &[f64], roots: &[Root], i: usize) -> f64 {
    let k = d.len();
    // Roots below i go with their lower neighbours, from i on with their upper ones.
    let square = -roots[k - 1].gap(d[i])
        * ratios(&d[..i], &roots[..i], d[i])
        * ratios(&d[i + 1..], &roots[i..k - 1], d[i]);
    square.max(0.0).sqrt().copysign(z[i])
}

/// The left and right singular vectors of one root, for the corrected row.
pub(crate) fn singular_vectors(d: &[f64], z: &[f64], root: Root, u: &mut [f64], v: &mut [f64]) {
    vectors(d, z, root, u, v);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Residual and orthogonality of the decomposition, relative to the matrix's size.
    fn check(d: &[f64], z: &[f64]) {
        let k = d.len();
        let roots: Vec<Root> = (0..k).map(|i| root(d, z, i).expect("finite")).collect();
        let zc: Vec<f64> = (0..k).map(|i| corrected(d, z, &roots, i)).collect();
        let mut u = vec![vec![0.0; k]; k];
        let mut v = vec![vec![0.0; k]; k];
        for i in 0..k {
            singular_vectors(d, &zc, roots[i], &mut u[i], &mut v[i]);
        }
        let size = roots[k - 1].value();
        let tol = 4.0 * (k as f64 + 8.0) * f64::EPSILON;
        for i in 0..k {
            for j in 0..k {
                let want = if i == j { 1.0 } else { 0.0 };
                for w in [&u, &v] {
                    let dot: f64 = w[i].iter().zip(&w[j]).map(|(x, y)| x * y).sum();
                    assert!((dot - want).abs() < tol, "{d:?} {z:?}: {i} {j} {dot}");
                }
                let back: f64 = (0..k).map(|p| u[p][i] * roots[p].value() * v[p][j]).sum();
                let m = if i == 0 {
                    z[j]
                } else if i == j {
                    d[i]
                } else {
                    0.0
                };
                assert!((back - m).abs() < tol * size, "{d:?} {z:?}: {i} {j} {back} {m}");
            }
        }
    }

    #[test]
    fn roots_and_vectors_of_easy_and_nasty_problems() {
        check(&[0.0], &[-0.7]);
        check(&[0.0, 1.0], &[0.5, 0.5]);
        check(&[0.0, 1.0, 1.0 + 1e-14], &[0.5, 1e-14, -0.5]);
        check(&[0.0, 1e-15, 2e-15, 1.0], &[1e-14, 1e-15, -1e-15, 1e-15]);
        check(&[0.0, 0.5, 1.0], &[1e-15, 1e-15, 1e-15]);
        let mut x = 1u64;
        let mut next = || {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (x >> 11) as f64 / (1u64 << 53) as f64
        };
        for k in [2usize, 9, 33, 70] {
            for spread in [1.0, 5.0, 13.0] {
                let mut d: Vec<f64> = (0..k).map(|_| 10f64.powf(-spread * next())).collect();
                d.sort_by(f64::total_cmp);
                d[0] = 0.0;
                for i in 1..k {
                    d[i] = d[i].max(d[i - 1] + 4e-15);
                }
                let z: Vec<f64> = (0..k)
                    .map(|_| (next() - 0.5) * 10f64.powf(-spread * next()))
                    .map(|z| if z.abs() < 4e-15 { 4e-15 } else { z })
                    .collect();
                check(&d, &z);
            }
        }
    }
}
