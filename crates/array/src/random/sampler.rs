//! A distribution made ready: parameters checked, tables built, and then any block of any array filled.
//!
//! The samples of an array depend on the key, the distribution, the dtype and each element's place in C order. They do
//! not depend on the block's bounds, the order of blocks, or the machine.

use pantile_types::ScalarType;

use super::continuous::{
    Cauchy, Exponential, Gumbel, Halves, Laplace, Logistic, Lognormal, Normal, Pareto, Power, Rayleigh,
    Rounded, Triangular, Uniform, UnitF32, Weibull,
};
use super::discrete::{Constant, Geometric, InversionTable, Mirrored};
use super::distribution::Distribution as D;
use super::engine::{Isa, Rejection, Source, Stream, fill_source, fill_stream};
use super::error::RandomError;
use super::integers::{Narrow, Wide, Width, fits_narrow};
use super::key::Key;
use super::region::Region;
use super::rejection::{
    Binomial, Gamma, GammaForm, GammaPair, NegativeBinomial, Poisson, StudentT, VonMises, Wald, wrapped,
};

/// Up to this variance, Poisson and binomial samples come from a table: 19 deviations wide, 2500 entries at most, built
/// in tens of microseconds. Rejection is right from a mean of 10, but some ten times slower.
const TABLE_VARIANCE: f64 = 16_384.0;

/// As `TABLE_VARIANCE`, for a few samples: building a large table costs more than it saves. Rejection needs no less.
const SMALL_TABLE_VARIANCE: f64 = 10.0;

/// A distribution with checked parameters and a dtype, ready to fill blocks. Cheap to share between threads.
pub struct Sampler {
    distribution: D,
    dtype: ScalarType,
    fill: Box<dyn Fill>,
}

/// One kernel, its type forgotten.
trait Fill: Send + Sync {
    /// # Safety
    /// `out` must be valid for writes of the region's number of items.
    unsafe fn fill(&self, isa: Isa, key: Key, region: &Region, out: *mut u8);
}

struct FromStream<K>(K);

impl<K: Stream + Send + Sync> Fill for FromStream<K> {
    unsafe fn fill(&self, isa: Isa, key: Key, region: &Region, out: *mut u8) {
        // SAFETY: the caller's promise is the callee's.
        unsafe { fill_stream(isa, &self.0, key, region, out) }
    }
}

struct FromSource<K>(K);

impl<K: Source + Send + Sync> Fill for FromSource<K> {
    unsafe fn fill(&self, isa: Isa, key: Key, region: &Region, out: *mut u8) {
        // SAFETY: the caller's promise is the callee's.
        unsafe { fill_source(isa, &self.0, key, region, out) }
    }
}

/// A source's samples as another type or moved by a constant function.
struct Mapped<S, F> {
    source: S,
    map: F,
}

impl<S: Source<Item = f64>, F: Fn(f64) -> f32> Source for Mapped<S, F> {
    type Item = f32;
    const BLANK: f32 = 0.0;

    fn draw(
        &self,
        isa: Isa,
        key: Key,
        elements: &[u64; super::engine::BATCH],
        out: &mut [f32; super::engine::BATCH],
    ) {
        let mut samples = [0.0; super::engine::BATCH];
        self.source.draw(isa, key, elements, &mut samples);
        for (to, from) in out.iter_mut().zip(samples) {
            *to = (self.map)(from);
        }
    }
}

/// A nearly concentrated von Mises: a normal, wrapped.
struct WrappedNormal(Normal);

impl Stream for WrappedNormal {
    type Pack = [f64; 2];

    #[inline(always)]
    fn block(&self, w: [u64; 4]) -> [f64; 2] {
        self.0.block(w).map(wrapped)
    }

    fn redraw(&self, block: [f64; 2], _: [u64; 4], place: usize, _: super::engine::Again) -> f64 {
        block[place]
    }
}

fn stream(kernel: impl Stream + Send + Sync + 'static) -> Box<dyn Fill> {
    Box::new(FromStream(kernel))
}

fn source(kernel: impl Source + Send + Sync + 'static) -> Box<dyn Fill> {
    Box::new(FromSource(kernel))
}

fn double_or_single<S>(kernel: S, dtype: ScalarType) -> Box<dyn Fill>
where
    S: Stream<Pack = [f64; 2]> + Send + Sync + 'static,
{
    if dtype == ScalarType::F32 { stream(Rounded(kernel)) } else { stream(kernel) }
}

fn gamma(shape: f64, scale: f64, dtype: ScalarType) -> Box<dyn Fill> {
    if shape == 0.0 {
        return double_or_single(Constant(0.0), dtype);
    }
    if shape == f64::INFINITY {
        return double_or_single(Constant(f64::INFINITY), dtype);
    }
    let kernel = Rejection(Gamma::new(shape, scale, GammaForm::Sample));
    if dtype == ScalarType::F32 {
        source(Mapped { source: kernel, map: |x: f64| x as f32 })
    } else {
        source(kernel)
    }
}

fn integers(low: u64, values: u64, dtype: ScalarType) -> Box<dyn Fill> {
    fn narrow<T: Width + Send + Sync + 'static>(low: u64, values: u64) -> Box<dyn Fill> {
        stream(Narrow::<T>::new(low, values))
    }
    fn wide<T: Width + Send + Sync + 'static>(low: u64, values: u64) -> Box<dyn Fill> {
        stream(Wide::<T>::new(low, values))
    }
    match (dtype.size(), fits_narrow(values)) {
        (1, _) => narrow::<u8>(low, values),
        (2, _) => narrow::<u16>(low, values),
        (4, true) => narrow::<u32>(low, values),
        (4, false) => wide::<u32>(low, values),
        (_, true) => narrow::<u64>(low, values),
        (_, false) => wide::<u64>(low, values),
    }
}

fn binomial(n: i64, p: f64, table_below: f64) -> Box<dyn Fill> {
    let (p, mirror) = if p > 0.5 { (1.0 - p, Some(n)) } else { (p, None) };
    let n_f64 = n as f64;
    if n == 0 || p == 0.0 {
        return stream(Constant(mirror.unwrap_or(0)));
    }
    if n_f64 * p * (1.0 - p) < table_below {
        return stream(Mirrored { inner: InversionTable::binomial(n_f64, p), mirror });
    }
    source(Rejection(Binomial::new(n_f64, p, mirror)))
}

fn kernel(distribution: &D, dtype: ScalarType, table_below: f64) -> Box<dyn Fill> {
    use std::f64::consts::{PI, TAU};
    let halves = |constant| stream(Constant::<f64>(constant));
    match *distribution {
        D::Random if dtype == ScalarType::F32 => stream(UnitF32),
        D::Random => stream(Halves(Uniform { low: 0.0, width: 1.0 })),
        D::Uniform { low, high } => stream(Halves(Uniform { low, width: high - low })),
        D::Integers { low, high, endpoint } => {
            let (low, values) = D::integer_range(low, high, endpoint);
            integers(low, values, dtype)
        }
        D::StandardNormal => double_or_single(Normal { loc: 0.0, scale: 1.0 }, dtype),
        D::Normal { loc, scale } => stream(Normal { loc, scale }),
        D::StandardExponential => double_or_single(Halves(Exponential { scale: 1.0 }), dtype),
        D::Exponential { scale } => stream(Halves(Exponential { scale })),
        D::StandardGamma { shape } => gamma(shape, 1.0, dtype),
        D::Gamma { shape, scale } => gamma(shape, scale, dtype),
        D::Chisquare { df } => gamma(0.5 * df, 2.0, dtype),
        D::Poisson { lam } if lam < table_below => stream(InversionTable::poisson(lam)),
        D::Poisson { lam } => source(Rejection(Poisson::new(lam))),
        D::Beta { a, b } => source(GammaPair::beta(a, b)),
        D::Binomial { n, p } => binomial(n, p, table_below),
        D::F { dfnum, dfden } => source(GammaPair::f(dfnum, dfden)),
        D::Geometric { p: 1.0 } => stream(Constant(1i64)),
        D::Geometric { p } => stream(Geometric::new(p)),
        D::Gumbel { loc, scale } => stream(Halves(Gumbel { loc, scale })),
        D::Laplace { loc, scale } => stream(Halves(Laplace { loc, scale })),
        D::Logistic { loc, scale } => stream(Halves(Logistic { loc, scale })),
        D::Lognormal { mean, sigma } => stream(Lognormal { mean, sigma }),
        D::NegativeBinomial { p: 1.0, .. } => stream(Constant(0i64)),
        D::NegativeBinomial { n, p } => source(NegativeBinomial::new(n, p)),
        D::Pareto { a } => stream(Halves(Pareto { inverse_a: 1.0 / a })),
        D::Power { a } => stream(Halves(Power { inverse_a: 1.0 / a })),
        D::Rayleigh { scale } => stream(Halves(Rayleigh { scale })),
        D::StandardCauchy => stream(Halves(Cauchy {})),
        D::StandardT { df } => source(StudentT::new(df)),
        D::Triangular { left, mode, right } => {
            let width = right - left;
            stream(Halves(Triangular {
                left,
                right,
                rising: (mode - left) / width,
                left_product: width * (mode - left),
                right_product: width * (right - mode),
            }))
        }
        D::Vonmises { kappa, .. } if kappa < 1e-8 => stream(Halves(Uniform { low: -PI, width: TAU })),
        D::Vonmises { mu, kappa } if kappa > 1e6 => {
            stream(WrappedNormal(Normal { loc: mu, scale: (1.0 / kappa).sqrt() }))
        }
        D::Vonmises { mu, kappa } => source(Rejection(VonMises::new(mu, kappa))),
        D::Wald { mean, scale } => source(Rejection(Wald { mean, scale })),
        D::Weibull { a: 0.0 } => halves(0.0),
        D::Weibull { a } => stream(Halves(Weibull { inverse_a: 1.0 / a })),
        D::Choice { ref p } => stream(InversionTable::new(p)),
    }
}

impl Sampler {
    /// Checks the parameters and builds what filling needs.
    pub fn new(distribution: D, dtype: ScalarType) -> Result<Sampler, RandomError> {
        Sampler::with_tables(distribution, dtype, TABLE_VARIANCE)
    }

    /// As `new`, quick to make, for few samples. Those of Poisson and binomial distributions are other ones where the variance
    /// lies between 10 and 16384.
    pub fn for_few(distribution: D, dtype: ScalarType) -> Result<Sampler, RandomError> {
        Sampler::with_tables(distribution, dtype, SMALL_TABLE_VARIANCE)
    }

    fn with_tables(distribution: D, dtype: ScalarType, table_below: f64) -> Result<Sampler, RandomError> {
        distribution.validate(dtype)?;
        let fill = kernel(&distribution, dtype, table_below);
        Ok(Sampler { distribution, dtype, fill })
    }

    /// What is sampled.
    pub fn distribution(&self) -> &D {
        &self.distribution
    }

    /// The samples' dtype.
    pub fn dtype(&self) -> ScalarType {
        self.dtype
    }

    /// Writes the box `start .. start + count` of an array of `shape` to `out`, in C order without gaps.
    ///
    /// # Safety
    /// `out` must be valid for writes of the product of `count` items of the dtype. It may be uninitialised and need
    /// not be aligned.
    pub unsafe fn fill(
        &self,
        key: Key,
        shape: &[u64],
        start: &[u64],
        count: &[u64],
        out: *mut u8,
    ) -> Result<(), RandomError> {
        let region = Region::new(shape, start, count)?;
        // SAFETY: the caller's promise is the callee's.
        unsafe { self.fill.fill(Isa::best(), key, &region, out) };
        Ok(())
    }

    /// [`Sampler::fill`] for a buffer of bytes, whose length is checked.
    pub fn fill_bytes(
        &self,
        key: Key,
        shape: &[u64],
        start: &[u64],
        count: &[u64],
        out: &mut [u8],
    ) -> Result<(), RandomError> {
        self.fill_bytes_with(Isa::best(), key, shape, start, count, out)
    }

    pub(super) fn fill_bytes_with(
        &self,
        isa: Isa,
        key: Key,
        shape: &[u64],
        start: &[u64],
        count: &[u64],
        out: &mut [u8],
    ) -> Result<(), RandomError> {
        let region = Region::new(shape, start, count)?;
        let needed = region.len().checked_mul(self.dtype.size() as u64);
        if needed != Some(out.len() as u64) {
            return Err(RandomError::Bug(format!(
                "{} elements of {} do not fill a buffer of {} bytes",
                region.len(),
                self.dtype.name(),
                out.len()
            )));
        }
        // SAFETY: the buffer's length has just been checked.
        unsafe { self.fill.fill(isa, key, &region, out.as_mut_ptr()) };
        Ok(())
    }
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler")
            .field("distribution", &self.distribution)
            .field("dtype", &self.dtype)
            .finish()
    }
}
