//! Data types, scalars, NEP 50 promotion and the operation catalogue
