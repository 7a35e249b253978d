//! Naive references and generators shared by the tests: triple loops, residuals, views of every layout.
#![allow(dead_code)]

use pantile_linalg::{Elem, Mat, MatRef, RealScalar};

/// A small deterministic generator of numbers in [-1, 1).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 11) as f64) / (1u64 << 52) as f64 - 1.0
    }
    pub fn matrix<T: Elem>(&mut self, m: usize, n: usize) -> Mat<T> {
        Mat::from_fn(m, n, |_, _| {
            let (re, im) = (self.next(), self.next());
            T::from_parts(T::Re::from_f64(re), T::Re::from_f64(im))
        })
    }
}

pub fn product<T: Elem>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Mat<T> {
    assert_eq!(a.ncols(), b.nrows());
    Mat::from_fn(a.nrows(), b.ncols(), |i, j| {
        (0..a.ncols()).fold(T::ZERO, |sum, p| sum + a.at(i, p) * b.at(p, j))
    })
}

pub fn adjoint<T: Elem>(a: &Mat<T>) -> Mat<T> {
    Mat::from_fn(a.ncols(), a.nrows(), |i, j| a.at(j, i).conjugate())
}

/// The largest difference of two matrices, NaN if any.
pub fn distance<T: Elem>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> f64 {
    assert_eq!((a.nrows(), a.ncols()), (b.nrows(), b.ncols()));
    let mut worst = 0.0f64;
    for i in 0..a.nrows() {
        for j in 0..a.ncols() {
            let d = (a.at(i, j) - b.at(i, j)).modulus().to_f64();
            if d.is_nan() {
                return f64::NAN;
            }
            worst = worst.max(d);
        }
    }
    worst
}

/// The sum of `f(start..end)` in pairs, whose error grows with the logarithm of the length.
fn pairwise<T: Elem>(start: usize, end: usize, f: &impl Fn(usize) -> T) -> T {
    match end - start {
        0 => T::ZERO,
        1 => f(start),
        n => pairwise(start, start + n / 2, f) + pairwise(start + n / 2, end, f),
    }
}

/// How far the columns are from orthonormal. Summed in pairs: the error of a plain loop over long columns, half an `EPS` an
/// element at worst, would be far larger than what is measured.
pub fn orthogonality<T: Elem>(q: &Mat<T>) -> f64 {
    let gram = Mat::from_fn(q.ncols(), q.ncols(), |i, j| {
        pairwise(0, q.nrows(), &|p| q.at(p, i).conjugate() * q.at(p, j))
    });
    distance(gram.as_ref(), Mat::eye(q.ncols(), q.ncols()).as_ref())
}

pub fn tolerance<T: Elem>(size: usize) -> f64 {
    20.0 * (size as f64 + 10.0) * T::Re::EPS.to_f64()
}

/// A matrix laid out in one of several ways: row-major, column-major, both strides negative, every second element.
pub struct Layout<T> {
    data: Vec<T>,
    kind: usize,
    m: usize,
    n: usize,
}

pub const LAYOUTS: usize = 4;

impl<T: Copy + Default> Layout<T> {
    pub fn new(kind: usize, m: usize, n: usize, f: impl Fn(usize, usize) -> T) -> Self {
        let mut out = Self { data: vec![T::default(); 4 * m * n + 1], kind, m, n };
        let (start, rs, cs) = out.strides();
        for i in 0..m {
            for j in 0..n {
                out.data[(start + i as isize * rs + j as isize * cs) as usize] = f(i, j);
            }
        }
        out
    }
    pub fn of(kind: usize, a: &Mat<T>) -> Self {
        Self::new(kind, a.nrows(), a.ncols(), |i, j| a.at(i, j))
    }
    pub fn strides(&self) -> (isize, isize, isize) {
        let (m, n) = (self.m as isize, self.n as isize);
        match self.kind {
            0 => (0, n, 1),
            1 => (0, 1, m),
            2 => ((m * n - 1).max(0), -n, -1),
            _ => (0, 4 * n, 2),
        }
    }
    pub fn view(&self) -> MatRef<'_, T> {
        let (start, rs, cs) = self.strides();
        // SAFETY: `new` wrote every position of this layout inside of `data`.
        unsafe { MatRef::from_raw(self.data.as_ptr().offset(start), self.m, self.n, rs, cs) }
    }
    pub fn view_mut(&mut self) -> pantile_linalg::MatMut<'_, T> {
        let (start, rs, cs) = self.strides();
        // SAFETY: as above; the strides of each layout keep positions apart.
        unsafe {
            pantile_linalg::MatMut::from_raw(self.data.as_mut_ptr().offset(start), self.m, self.n, rs, cs)
        }
    }
}

/// Runs one generic check for the four element types.
#[macro_export]
macro_rules! for_all_types {
    ($($name:ident => $check:ident;)*) => {$(
        #[test]
        fn $name() {
            $check::<f32>();
            $check::<f64>();
            $check::<num_complex::Complex32>();
            $check::<num_complex::Complex64>();
        }
    )*};
}
