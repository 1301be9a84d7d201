//! Statements that a connection prepares once. diesel takes each one with a piece of raw SQL for one of a kind: it
//! is parsed and planned anew every time, at the price of two more round trips. Ours have few texts.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};

/// A statement that each connection prepares once, by its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepared<Q>(Q);

/// For statements of few texts: what a person typed is bound, never part of the text.
pub(super) trait Prepare: Sized {
    fn prepared(self) -> Prepared<Self> {
        Prepared(self)
    }
}

impl<Q: QueryFragment<Pg>> Prepare for Q {}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}

/// A statement that is put together: pieces of our own text, and values that are bound where they stand.
pub(super) struct Statement<'a>(Vec<Piece<'a>>);

enum Piece<'a> {
    Text(&'static str),
    Value(Box<dyn QueryFragment<Pg> + Send + 'a>),
}

struct Value<S, T>(T, std::marker::PhantomData<fn() -> S>);

impl<S, T> QueryFragment<Pg> for Value<S, T>
where
    Pg: HasSqlType<S>,
    T: ToSql<S, Pg>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<S, T>(&self.0)
    }
}

impl<'a> Statement<'a> {
    pub(super) fn new(text: &'static str) -> Self {
        Self(vec![Piece::Text(text)])
    }

    pub(super) fn text(&mut self, text: &'static str) -> &mut Self {
        self.0.push(Piece::Text(text));
        self
    }

    pub(super) fn value<S, T>(&mut self, value: T) -> &mut Self
    where
        S: 'a,
        T: ToSql<S, Pg> + Send + 'a,
        Pg: HasSqlType<S>,
    {
        self.0.push(Piece::Value(Box::new(Value::<S, T>(value, std::marker::PhantomData))));
        self
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_sql(text),
                Piece::Value(value) => value.walk_ast(out.reborrow())?,
            }
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}
