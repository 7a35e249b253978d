//! A tile QR driven by a plain loop over a grid of tiles, compared with the QR of the whole.

mod common;
use common::*;
use pantile_linalg::*;
use std::collections::BTreeMap;

fn starts(sizes: &[usize]) -> Vec<usize> {
    sizes.iter().scan(0, |at, &size| Some(std::mem::replace(at, *at + size))).collect()
}

/// Factorises by tiles; returns the thin Q and R as whole matrices.
fn tile_qr<T: Elem>(a: &Mat<T>, rows: &[usize], cols: &[usize]) -> (Mat<T>, Mat<T>) {
    let (p, q) = (rows.len(), cols.len());
    let (row_at, col_at) = (starts(rows), starts(cols));
    let k = a.nrows().min(a.ncols());
    let mut work = a.clone();
    let mut ge = BTreeMap::new();
    let mut ts = BTreeMap::new();
    for j in 0..p.min(q) {
        let tile = |i: usize, c: usize| (row_at[i], col_at[c], rows[i], cols[c]);
        let copy = |work: &Mat<T>, (r, c, m, n): (usize, usize, usize, usize)| {
            Mat::copied(work.as_ref().sub(r, c, m, n))
        };
        let (mut triangle, reflectors) = geqrt(copy(&work, tile(j, j)).as_ref(), Par::Seq);
        for c in j + 1..q {
            let (r0, c0, m, n) = tile(j, c);
            reflectors.apply(Side::QAdjoint, work.as_mut().sub(r0, c0, m, n), Par::Seq).unwrap();
        }
        assert!(reflectors.bytes() > 0);
        let (v, t) = reflectors.into_parts();
        ge.insert(j, GeReflectors::from_parts(v, t));
        for i in j + 1..p {
            let below = copy(&work, tile(i, j));
            let (next, reflectors) = tsqrt(triangle.as_ref(), below.as_ref(), Par::Seq).unwrap();
            triangle = next;
            work.as_mut().sub(row_at[i], col_at[j], rows[i], cols[j]).fill(T::ZERO);
            for c in j + 1..q {
                let (upper, lower) =
                    work.as_mut().sub(0, col_at[c], a.nrows(), cols[c]).split_at_row(row_at[i]);
                let top = upper.sub(row_at[j], 0, rows[j], cols[c]);
                reflectors.apply(Side::QAdjoint, top, lower.sub(0, 0, rows[i], cols[c]), Par::Seq).unwrap();
            }
            ts.insert((j, i), reflectors);
        }
        let mut diagonal = work.as_mut().sub(row_at[j], col_at[j], rows[j], cols[j]);
        diagonal.fill(T::ZERO);
        diagonal.sub(0, 0, triangle.nrows(), cols[j]).copy_from(triangle.as_ref());
    }
    let mut thin = Mat::eye(a.nrows(), k);
    for j in (0..p.min(q)).rev() {
        for i in (j + 1..p).rev() {
            let (upper, lower) = thin.as_mut().split_at_row(row_at[i]);
            let top = upper.sub(row_at[j], 0, rows[j], k);
            ts[&(j, i)].apply(Side::Q, top, lower.sub(0, 0, rows[i], k), Par::Seq).unwrap();
        }
        ge[&j].apply(Side::Q, thin.as_mut().sub(row_at[j], 0, rows[j], k), Par::Seq).unwrap();
    }
    // All diagonal tiles but the last are square in these tests, so R lies in the first rows.
    let mut r = Mat::zeros(k, a.ncols());
    r.as_mut().copy_from(work.as_ref().sub(0, 0, k, a.ncols()));
    (thin, r)
}

fn check_grids<T: Elem>() {
    let grids: [(&[usize], &[usize]); 6] = [
        (&[8, 8, 8], &[8, 8]),
        (&[5, 5, 5, 3], &[5, 5, 2]),
        (&[40, 40, 40], &[40, 40, 17]),
        (&[12, 12], &[12, 12, 12, 5]),
        (&[150, 70], &[150]),
        (&[9, 1, 4], &[9]),
    ];
    for (rows, cols) in grids {
        let (m, n) = (rows.iter().sum(), cols.iter().sum());
        let a = Random(11).matrix::<T>(m, n);
        let (q, r) = tile_qr(&a, rows, cols);
        let tol = tolerance::<T>(m + n);
        assert!(orthogonality(&q) < tol, "{rows:?} {cols:?}: {}", orthogonality(&q));
        assert!(distance(product(q.as_ref(), r.as_ref()).as_ref(), a.as_ref()) < tol, "{rows:?} {cols:?}");
        let (_, whole) = qr(a.as_ref(), Par::Seq);
        for i in 0..m.min(n) {
            for j in 0..n {
                let (x, y) = (r.at(i, j).modulus().to_f64(), whole.at(i, j).modulus().to_f64());
                assert!((x - y).abs() < 1e4 * tol, "R at ({i}, {j}): {x} and {y}");
            }
        }
    }
}

for_all_types! {
    tile_qr_equals_qr => check_grids;
}

#[test]
fn f64_tiles_are_orthogonal_to_rounding() {
    let (rows, cols) = ([50usize; 4], [50usize; 3]);
    let a = Random(12).matrix::<f64>(200, 150);
    let (q, r) = tile_qr(&a, &rows, &cols);
    assert!(orthogonality(&q) < 1e-12);
    assert!(distance(product(q.as_ref(), r.as_ref()).as_ref(), a.as_ref()) < 1e-12);
}

#[test]
fn a_flat_triangle_is_refused_with_advice() {
    let (r, a) = (Mat::<f64>::zeros(3, 5), Mat::<f64>::zeros(4, 5));
    let error = tsqrt(r.as_ref(), a.as_ref(), Par::Seq).unwrap_err();
    assert_eq!(error.family(), Family::Unsupported);
    assert!(error.to_string().contains("at least as many rows as columns"));
}
