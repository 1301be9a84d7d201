//! Single sign-on: the settings of the OpenID Connect provider, and what its groups give.

use std::collections::BTreeMap;
use std::fmt;

use super::Settings;
use super::check::{Invalid, given, http_url};

/// The OpenID Connect provider that people may log in with.
#[derive(Clone)]
pub struct Sso {
    /// Exactly as the provider names itself: a slash at the end makes another one.
    pub issuer: String,
    pub client_id: String,
    /// `None`: a public client, which PKCE alone protects.
    pub client_secret: Option<String>,
    pub scopes: Vec<String>,
    /// The claim that lists groups; a dotted name leads into objects (`realm_access.roles`).
    pub groups_claim: String,
    pub roles: Vec<Grant>,
    /// What people call the provider.
    pub name: String,
}

impl fmt::Debug for Sso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // without the secret
        f.debug_struct("Sso").field("issuer", &self.issuer).field("client_id", &self.client_id).finish()
    }
}

/// What one group gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub group: String,
    pub gives: Gives,
}

/// A role, for everything or at one owner, who is named by external id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gives {
    Admin,
    Manager(String),
    Viewer(String),
}

/// What all groups of a person give together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub admin: bool,
    /// External ids of owners, and whether the person manages what is theirs or only sees it.
    pub owners: BTreeMap<String, bool>,
}

impl Sso {
    /// What these groups give; of two roles at one owner it is the greater.
    pub fn given_by(&self, groups: &[String]) -> Given {
        let mut given = Given::default();
        for grant in self.roles.iter().filter(|grant| groups.contains(&grant.group)) {
            match &grant.gives {
                Gives::Admin => given.admin = true,
                Gives::Manager(owner) => {
                    given.owners.insert(owner.clone(), true);
                }
                Gives::Viewer(owner) => {
                    given.owners.entry(owner.clone()).or_insert(false);
                }
            }
        }
        given
    }
}

/// `None` where no provider is set.
pub(super) fn sso(settings: &Settings, invalid: &mut Invalid) -> Option<Sso> {
    let rest = [
        ("PROMMGR_SSO_CLIENT_SECRET", &settings.sso_client_secret),
        ("PROMMGR_SSO_SCOPES", &settings.sso_scopes),
        ("PROMMGR_SSO_GROUPS_CLAIM", &settings.sso_groups_claim),
        ("PROMMGR_SSO_ROLES", &settings.sso_roles),
        ("PROMMGR_SSO_NAME", &settings.sso_name),
    ];
    let (issuer, client_id) = match (given(&settings.sso_issuer), given(&settings.sso_client_id)) {
        (Some(issuer), Some(client_id)) => (issuer, client_id),
        (Some(_), None) => {
            invalid.add("PROMMGR_SSO_CLIENT_ID", "is not set, but PROMMGR_SSO_ISSUER is");
            return None;
        }
        (None, Some(_)) => {
            invalid.add("PROMMGR_SSO_ISSUER", "is not set, but PROMMGR_SSO_CLIENT_ID is");
            return None;
        }
        (None, None) => {
            for (name, _) in rest.iter().filter(|(_, setting)| given(setting).is_some()) {
                invalid.add(name, "is set, but PROMMGR_SSO_ISSUER is not");
            }
            return None;
        }
    };
    if cfg!(not(feature = "sso")) {
        invalid
            .add("PROMMGR_SSO_ISSUER", "this prommgr was built without single sign-on (cargo feature `sso`)");
        return None;
    }
    if let Err(why) = issuer_url(issuer) {
        invalid.add("PROMMGR_SSO_ISSUER", why);
    }
    let scopes: Vec<String> = given(&settings.sso_scopes)
        .unwrap_or("openid profile email")
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if !scopes.iter().any(|scope| scope == "openid") {
        invalid.add("PROMMGR_SSO_SCOPES", "`openid` has to be among them");
    }
    Some(Sso {
        issuer: issuer.to_owned(),
        client_id: client_id.to_owned(),
        client_secret: given(&settings.sso_client_secret).map(str::to_owned),
        scopes,
        groups_claim: given(&settings.sso_groups_claim).unwrap_or("groups").to_owned(),
        roles: roles(given(&settings.sso_roles).unwrap_or(""), invalid),
        name: given(&settings.sso_name).unwrap_or("single sign-on").to_owned(),
    })
}

/// Passwords and keys come from there, so it is reached over TLS, or on this machine.
fn issuer_url(text: &str) -> Result<(), String> {
    let url = http_url(text)?;
    let here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !here {
        return Err("has to begin with https:// (http:// is for a provider on this machine)".into());
    }
    if url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return Err("an issuer has no query, fragment or user".into());
    }
    Ok(())
}

fn roles(text: &str, invalid: &mut Invalid) -> Vec<Grant> {
    let mut roles = Vec::new();
    for part in text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
        match grant(part) {
            Some(grant) => roles.push(grant),
            None => invalid.add(
                "PROMMGR_SSO_ROLES",
                format!("`{part}` is none of GROUP=admin, GROUP=manager:OWNER, GROUP=viewer:OWNER"),
            ),
        }
    }
    roles
}

/// The last `=` divides: groups of a directory are called `cn=admins`.
fn grant(text: &str) -> Option<Grant> {
    let (group, role) = text.rsplit_once('=')?;
    let group = Some(group.trim()).filter(|group| !group.is_empty())?.to_owned();
    let gives = match role.trim().split_once(':').map(|(role, owner)| (role.trim(), owner.trim())) {
        None if role.trim() == "admin" => Gives::Admin,
        Some(("manager", owner)) if !owner.is_empty() => Gives::Manager(owner.to_owned()),
        Some(("viewer", owner)) if !owner.is_empty() => Gives::Viewer(owner.to_owned()),
        _ => return None,
    };
    Some(Grant { group, gives })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Settings)) -> (Option<Sso>, String) {
        let mut settings = Settings {
            sso_issuer: Some("https://id.example/realms/x".into()),
            sso_client_id: Some("prommgr".into()),
            ..Settings::default()
        };
        change(&mut settings);
        let mut invalid = Invalid::default();
        let sso = sso(&settings, &mut invalid);
        (sso, invalid.to_string())
    }

    #[cfg(feature = "sso")]
    #[test]
    fn groups_give_roles_and_the_greater_one_wins() {
        let roles = "prommgr-admins=admin, ops = manager:11,ro=viewer:11\n ro=viewer:a:b,cn=x=viewer:12,";
        let (sso, wrong) = checked(|settings| settings.sso_roles = Some(roles.into()));
        assert_eq!(wrong, "");
        let sso = sso.unwrap();
        let given = |groups: &[&str]| {
            let given = sso.given_by(&groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>());
            (given.admin, given.owners.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(given(&["Prommgr-Admins", "others", ""]), (false, vec![]));
        assert_eq!(given(&["prommgr-admins"]), (true, vec![]));
        let both = vec![("11".to_owned(), true), ("a:b".to_owned(), false)];
        assert_eq!(given(&["ro", "ops"]), (false, both.clone()));
        assert_eq!(given(&["ops", "ro"]), (false, both));
        assert_eq!(given(&["cn=x"]), (false, vec![("12".to_owned(), false)]));
    }

    #[cfg(feature = "sso")]
    #[test]
    fn what_cannot_be_used_is_named() {
        type Change = fn(&mut Settings);
        let cases: [(&str, Change); 9] = [
            ("PROMMGR_SSO_CLIENT_ID", |settings| settings.sso_client_id = Some(" ".into())),
            ("PROMMGR_SSO_ISSUER", |settings| settings.sso_issuer = None),
            ("PROMMGR_SSO_ISSUER", |settings| settings.sso_issuer = Some("http://id.example".into())),
            ("PROMMGR_SSO_ISSUER", |settings| settings.sso_issuer = Some("https://id.example/?x".into())),
            ("PROMMGR_SSO_SCOPES", |settings| settings.sso_scopes = Some("profile".into())),
            ("PROMMGR_SSO_ROLES", |settings| settings.sso_roles = Some("ops=owner:11".into())),
            ("PROMMGR_SSO_ROLES", |settings| settings.sso_roles = Some("ops=manager:".into())),
            ("PROMMGR_SSO_ROLES", |settings| settings.sso_roles = Some("=admin".into())),
            ("PROMMGR_SSO_CLIENT_SECRET", |settings| {
                *settings = Settings { sso_client_secret: Some("hidden".into()), ..Settings::default() };
            }),
        ];
        for (name, change) in cases {
            let (_, wrong) = checked(change);
            assert!(wrong.starts_with(name) && wrong.lines().count() == 1, "{name}: {wrong}");
            assert!(!wrong.contains("hidden"));
        }
        for fine in ["http://127.0.0.1:9", "http://localhost/x", "https://id.example"] {
            let (sso, wrong) = checked(|settings| settings.sso_issuer = Some(fine.into()));
            assert_eq!((sso.unwrap().issuer, wrong), (fine.to_owned(), String::new()));
        }
    }

    #[test]
    fn it_is_off_unless_it_is_configured() {
        let (sso, wrong) = checked(|settings| *settings = Settings::default());
        assert!(sso.is_none() && wrong.is_empty());
    }

    #[cfg(not(feature = "sso"))]
    #[test]
    fn a_build_without_it_says_so() {
        let (sso, wrong) = checked(|_| {});
        assert!(sso.is_none() && wrong.contains("built without"), "{wrong}");
    }
}
