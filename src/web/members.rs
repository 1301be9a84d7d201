//! Who belongs to an owner: its members, and the invitations that are open. Everybody of the owner may look at
//! their colleagues; who manages it changes them and sees the invitations.

use askama::Template;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use tower_sessions::Session;

use super::links::LinkPage;
use super::{Choice, Field, Flash, Frame, Link, Look, When, choices, go};
use crate::app::App;
use crate::auth::User;
use crate::error::{Error, Fields, Result};
use crate::face::{Form, Path};
use crate::store::Db;
use crate::store::owners::{self, Owner};
use crate::store::users::invitations::{self, Invitation, NewInvitation};
use crate::store::users::members::{self, Member, Role};

#[derive(Template)]
#[template(path = "owners/members.html")]
struct MembersPage {
    frame: Frame,
    may_edit: bool,
    /// Sees the users page too.
    admin: bool,
    id: i64,
    name: String,
    members: Vec<MemberRow>,
    managed: bool,
    invitations: Vec<InvitationRow>,
    roles: Vec<Choice>,
    note: Field,
}

struct MemberRow {
    id: i64,
    name: String,
    role: String,
    disabled: bool,
    /// Whoever looks.
    you: bool,
    /// What else they could be.
    other: Role,
    /// Nobody else manages the owner who can log in.
    alone: bool,
}

struct InvitationRow {
    id: i64,
    role: String,
    note: String,
    made_by: String,
    expires: When,
    works: bool,
}

/// The roles to choose from; the harmless one comes first.
pub(super) fn roles(chosen: &str) -> Vec<Choice> {
    choices(
        [(Role::Viewer.as_str(), "Viewer: sees"), (Role::Manager.as_str(), "Manager: sees and changes")],
        chosen,
    )
}

impl MembersPage {
    async fn new(
        db: &mut Db,
        user: &User,
        (session, look): (&Session, &Look),
        owner: Owner,
        typed: InvitationInput,
        fields: &Fields,
    ) -> Result<Self> {
        let members = members::of(db, &owner).await?;
        let found = if user.manages(owner.id) {
            let owner = owners::find_rw(db, &user.writing(), owner.id).await?;
            invitations::of(db, &owner).await?
        } else {
            Vec::new()
        };
        let able: Vec<_> = members.iter().filter(|member| member.manages()).map(|member| member.id).collect();
        let row = |member: Member| MemberRow {
            alone: able == [member.id],
            you: member.id == user.id(),
            other: if member.role == Role::Manager.as_str() { Role::Viewer } else { Role::Manager },
            id: member.id,
            name: member.name,
            role: member.role,
            disabled: member.disabled,
        };
        let invited = |invitation: Invitation| InvitationRow {
            id: invitation.id,
            role: invitation.role,
            note: invitation.note,
            made_by: invitation.made_by,
            expires: When::new(invitation.expires_at, &look.zone),
            works: invitation.works,
        };
        Ok(Self {
            frame: look.frame(db, user, session).await?,
            may_edit: user.manages(owner.id),
            admin: user.is_admin(),
            id: owner.id,
            name: owner.name,
            managed: !able.is_empty(),
            members: members.into_iter().map(row).collect(),
            invitations: found.into_iter().map(invited).collect(),
            roles: roles(&typed.role),
            note: Field::new(typed.note, fields, "note"),
        })
    }
}

/// `GET /owners/{id}/members`
pub async fn list(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let owner = owners::find(&mut db, &user.scope(), id).await?;
    let nothing = (InvitationInput::default(), Fields::default());
    let page = MembersPage::new(&mut db, &user, (&session, &look), owner, nothing.0, &nothing.1).await?;
    look.page(StatusCode::OK, &page)
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct InvitationInput {
    role: String,
    note: String,
}

/// `POST /owners/{id}/invitations`: makes one and shows its link.
pub async fn invite(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    look: Look,
    Path(id): Path<i64>,
    Form(typed): Form<InvitationInput>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let owner = owners::find_rw(&mut db, &user.writing(), id).await?;
    let made = async {
        let new = NewInvitation::check(&typed.role, &typed.note)?;
        invitations::make(&mut db, &owner, new, &user.actor()).await
    };
    match made.await {
        Ok(made) => {
            let text = format!(
                "Give it to {}: whoever opens it and accepts is {} of {} from then on. It works once.",
                typed.note.trim(),
                typed.role,
                owner.name
            );
            let back =
                Link { href: format!("/owners/{id}/members"), text: format!("Members of {}", owner.name) };
            let frame = look.frame(&mut db, &user, &session).await?;
            let words = [format!("Invitation to {}", owner.name), text];
            let page = LinkPage::new(&app, &look, frame, "join", &made, words, back)?;
            look.page(StatusCode::OK, &page)
        }
        Err(Error::Invalid(fields)) => {
            let owner = owner.into_inner();
            let page = MembersPage::new(&mut db, &user, (&session, &look), owner, typed, &fields).await?;
            look.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

/// `POST /owners/{id}/invitations/{link}/revocation`
pub async fn revoke(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    Path((id, link)): Path<(i64, i64)>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let owner = owners::find_rw(&mut db, &user.writing(), id).await?;
    let note = invitations::revoke(&mut db, &owner, link, &user.actor()).await?;
    let flash = Flash::done(format!("The invitation for {note} is revoked; its link no longer works."));
    go(&session, &format!("/owners/{id}/members"), flash).await
}

/// What the form sends.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RoleInput {
    role: String,
}

/// `POST /owners/{id}/members/{user}`: another role.
pub async fn change(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    Path((id, member)): Path<(i64, i64)>,
    Form(typed): Form<RoleInput>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let owner = owners::find_rw(&mut db, &user.writing(), id).await?;
    let role = Role::check(&typed.role)?;
    let name = members::change(&mut db, user.all(), &owner, member, role, &user.actor()).await?;
    let flash = Flash::done(format!("{name} is {} of {} now.", role.as_str(), owner.name));
    go(&session, &format!("/owners/{id}/members"), flash).await
}

/// `POST /owners/{id}/members/{user}/removal`
pub async fn remove(
    AppState(app): AppState<App>,
    user: User,
    session: Session,
    Path((id, member)): Path<(i64, i64)>,
) -> Result<Response> {
    let mut db = app.db(&user).await?;
    let owner = owners::find_rw(&mut db, &user.writing(), id).await?;
    let name = members::remove(&mut db, user.all(), &owner, member, &user.actor()).await?;
    // who took themselves away sees the owner no longer
    let (to, who) = if member == user.id() && !user.is_admin() {
        ("/".to_owned(), "You no longer belong".to_owned())
    } else {
        (format!("/owners/{id}/members"), format!("{name} no longer belongs"))
    };
    go(&session, &to, Flash::done(format!("{who} to {}.", owner.name))).await
}
