(* MidpoKL.v -- Gibbs inequality, KL-regularised optimum and mutual information,
   once and for all, over an abstract integral; finite lists and series (countable
   sets) are proved to be instances.  Standard library only.                     *)

From Coq Require Import Reals Lra List FunctionalExtensionality.
From Midpo Require Import Midpo.
Import ListNotations.
Open Scope R_scope.

(* ------------------------------------------------------------------ *)
(** * 1. Pointwise facts *)

Lemma ln_le_sub x : 0 < x -> ln x <= x - 1.
Proof.
  intro H. pose proof (exp_ineq1_le (ln x)) as E. rewrite exp_ln in E by assumption. lra.
Qed.

Lemma ln_lt_sub x : 0 < x -> x <> 1 -> ln x < x - 1.
Proof.
  intros H N. assert (N' : ln x <> 0).
  { intro E. apply N. rewrite <- (exp_ln x H), E. apply exp_0. }
  pose proof (exp_ineq1 _ N') as E. rewrite exp_ln in E by assumption. lra.
Qed.

(** Convention 0 ln(0/q) = 0 holds because of the factor. *)
Definition kl_term (p q : R) : R := p * ln (p / q).

Lemma kl_term_ge p q : 0 <= p -> 0 < q -> p - q <= kl_term p q.
Proof.
  intros Hp Hq. unfold kl_term. destruct (Req_dec p 0) as [-> | N]; [lra |].
  assert (P : 0 < p) by lra.
  replace (p * ln (p / q)) with (- (p * ln (q / p))).
  2:{ unfold Rdiv. rewrite !ln_mult, !ln_Rinv; try assumption;
      try (apply Rinv_0_lt_compat; assumption). ring. }
  assert (Q : 0 < q / p) by (apply Rdiv_lt_0_compat; assumption).
  pose proof (ln_le_sub _ Q) as L.
  apply (Rmult_le_compat_l p) in L; [| lra].
  replace (p * (q / p - 1)) with (q - p) in L by (field; lra). lra.
Qed.

Lemma kl_term_eq p q : 0 <= p -> 0 < q -> kl_term p q = p - q -> p = q.
Proof.
  intros Hp Hq. unfold kl_term. destruct (Req_dec p 0) as [-> | N]; [lra |].
  assert (P : 0 < p) by lra. intro E.
  destruct (Req_dec (q / p) 1) as [E1 | N1].
  { apply (f_equal (fun u => u * p)) in E1. unfold Rdiv in E1.
    rewrite Rmult_assoc, Rinv_l, Rmult_1_r in E1 by lra. lra. }
  exfalso.
  assert (Q : 0 < q / p) by (apply Rdiv_lt_0_compat; assumption).
  pose proof (ln_lt_sub _ Q N1) as L.
  apply (Rmult_lt_compat_l p) in L; [| lra].
  replace (p * (q / p - 1)) with (q - p) in L by (field; lra).
  replace (p * ln (p / q)) with (- (p * ln (q / p))) in E; [lra |].
  unfold Rdiv. rewrite !ln_mult, !ln_Rinv; try assumption;
    try (apply Rinv_0_lt_compat; assumption). ring.
Qed.

(* ------------------------------------------------------------------ *)
(** * 2. An abstract integral

   [HasInt f v]: f is integrable and its integral is v.  The three laws hold for
   finite sums, convergent series, and every Lebesgue integral.                  *)

Class Integral (Y : Type) := {
  HasInt : (Y -> R) -> R -> Prop;
  int_plus : forall f g a b, HasInt f a -> HasInt g b -> HasInt (fun y => f y + g y) (a + b);
  int_scal : forall c f a, HasInt f a -> HasInt (fun y => c * f y) (c * a);
  int_le : forall f g a b, HasInt f a -> HasInt g b -> (forall y, f y <= g y) -> a <= b }.

Section Abstract.
  Context {Y : Type} {IY : Integral Y}.
  Implicit Types f g p q r z : Y -> R.

  Lemma int_ext f g a : HasInt f a -> (forall y, f y = g y) -> HasInt g a.
  Proof. intros H E. now rewrite <- (functional_extensionality f g E). Qed.

  Lemma int_unique f a b : HasInt f a -> HasInt f b -> a = b.
  Proof.
    intros H K. apply Rle_antisym; [apply (int_le f f a b) | apply (int_le f f b a)];
    auto with real.
  Qed.

  Lemma int_minus f g a b : HasInt f a -> HasInt g b -> HasInt (fun y => f y - g y) (a - b).
  Proof.
    intros H K. replace (a - b) with (a + (-1) * b) by ring.
    eapply int_ext; [exact (int_plus _ _ _ _ H (int_scal (-1) _ _ K)) | intro; simpl; ring].
  Qed.

  Definition density p := (forall y, 0 <= p y) /\ HasInt p 1.
  Definition HasKL p q k := HasInt (fun y => kl_term (p y) (q y)) k.

  (** (4) Gibbs inequality. *)
  Theorem gibbs p q k :
    density p -> density q -> (forall y, 0 < q y) -> HasKL p q k -> 0 <= k.
  Proof.
    intros [P0 P1] [_ Q1] Qpos K. replace 0 with (1 - 1) by ring.
    apply (int_le _ _ _ _ (int_minus _ _ _ _ P1 Q1) K).
    intro y. now apply kl_term_ge.
  Qed.

  (** (1) The KL-regularised objective, its optimum and the gap. *)
  Definition HasObj (b : R) z r p v :=
    HasInt (fun y => p y * (r y - / b * ln (p y / z y))) v.

  Section Optimum.
    Variables (b Z : R) (z r : Y -> R).
    Hypothesis b_pos : 0 < b.
    Hypothesis Z_pos : 0 < Z.
    Hypothesis z_pos : forall y, 0 < z y.
    Hypothesis Z_is : HasInt (fun y => z y * exp (b * r y)) Z.   (* normalisability *)
    Definition opt y := z y * exp (b * r y) / Z.

    Lemma opt_pos y : 0 < opt y.
    Proof.
      unfold opt. apply Rdiv_lt_0_compat; [| assumption].
      apply Rmult_lt_0_compat; [apply z_pos | apply exp_pos].
    Qed.

    Lemma opt_density : density opt.
    Proof.
      split; [intro y; left; apply opt_pos |].
      replace 1 with (/ Z * Z) by (field; lra).
      eapply int_ext; [exact (int_scal (/ Z) _ _ Z_is) |].
      intro y. unfold opt, Rdiv. ring.
    Qed.

    Lemma obj_pointwise p y : 0 <= p y ->
      p y * (r y - / b * ln (p y / z y))
      = / b * ln Z * p y + - / b * kl_term (p y) (opt y).
    Proof.
      intro Hp. unfold kl_term, opt. destruct (Req_dec (p y) 0) as [-> | N]; [ring |].
      assert (P : 0 < p y) by lra. pose proof (z_pos y).
      midpo.
    Qed.

    (** J(p) = (ln Z)/b - KL(p||p* )/b; in particular J is integrable when KL is. *)
    Theorem objective p k :
      density p -> HasKL p opt k -> HasObj b z r p (/ b * ln Z - / b * k).
    Proof.
      intros [P0 P1] K.
      replace (/ b * ln Z - / b * k) with (/ b * ln Z * 1 + - / b * k) by ring.
      eapply int_ext; [exact (int_plus _ _ _ _ (int_scal _ _ _ P1) (int_scal _ _ _ K)) |].
      intro y. simpl. symmetry. now apply obj_pointwise.
    Qed.

    (** Conversely KL(p||p* ) exists whenever J(p) does. *)
    Theorem objective_conv p v :
      density p -> HasObj b z r p v -> HasKL p opt (ln Z - b * v).
    Proof.
      intros [P0 P1] K.
      replace (ln Z - b * v) with (ln Z * 1 + - b * v) by ring.
      eapply int_ext; [exact (int_plus _ _ _ _ (int_scal _ _ _ P1) (int_scal _ _ _ K)) |].
      intro y. simpl. rewrite obj_pointwise by auto. field. lra.
    Qed.

    Theorem objective_opt : HasObj b z r opt (/ b * ln Z).
    Proof.
      replace (/ b * ln Z) with (/ b * ln Z - / b * 0) by ring.
      apply objective; [apply opt_density |].
      replace 0 with (0 * 1) by ring.
      eapply int_ext; [exact (int_scal 0 _ _ (proj2 opt_density)) |].
      intro y. unfold kl_term. pose proof (opt_pos y).
      replace (opt y / opt y) with 1 by (field; lra). rewrite ln_1. ring.
    Qed.

    (** J(p* ) - J(p) = KL(p||p* )/b >= 0. *)
    Theorem gap p v vopt :
      density p -> HasObj b z r p v -> HasObj b z r opt vopt ->
      exists k, HasKL p opt k /\ vopt - v = / b * k /\ 0 <= vopt - v.
    Proof.
      intros P V VO. exists (ln Z - b * v).
      pose proof (objective_conv p v P V) as K.
      pose proof (int_unique _ _ _ VO objective_opt) as E.
      assert (G : 0 <= ln Z - b * v).
      { apply (gibbs p opt); auto using opt_density, opt_pos. }
      assert (A : vopt - v = / b * (ln Z - b * v)) by (rewrite E; field; lra).
      repeat split; [exact K | exact A |].
      rewrite A. apply Rmult_le_pos; [left; now apply Rinv_0_lt_compat | exact G].
    Qed.

    (** The reward is recovered from the optimum up to (ln Z)/b, which (2) cancels. *)
    Theorem reward y : r y = / b * ln (opt y / z y) + / b * ln Z.
    Proof. unfold opt. pose proof (z_pos y). midpo. Qed.

    Theorem bradley_terry_opt y1 y2 :
      exp (r y1) / (exp (r y1) + exp (r y2))
      = sigmoid (/ b * ln (opt y1 / z y1) - / b * ln (opt y2 / z y2)).
    Proof. apply (bradley_terry_Z b Z); apply reward. Qed.
  End Optimum.
End Abstract.

(* ------------------------------------------------------------------ *)
(** * 3. Mutual information: finite contexts, abstract responses *)

Lemma suml_le {A} (l : list A) f g : (forall a, f a <= g a) -> suml l f <= suml l g.
Proof. intro H. induction l; simpl; [lra | pose proof (H a); lra]. Qed.
Lemma suml_ext_in {A} (l : list A) f g :
  (forall a, In a l -> f a = g a) -> suml l f = suml l g.
Proof.
  intro H. induction l as [|a l IH]; simpl; [reflexivity |].
  rewrite (H a (or_introl eq_refl)), IH; auto with datatypes.
Qed.
Lemma suml_nonneg {A} (l : list A) f : (forall a, 0 <= f a) -> 0 <= suml l f.
Proof. intro H. induction l; simpl; [lra | pose proof (H a); lra]. Qed.
Lemma suml_zero_in {A} (l : list A) f a :
  (forall a, 0 <= f a) -> suml l f = 0 -> In a l -> f a = 0.
Proof.
  intros H. induction l as [|b l IH]; simpl; [tauto |]. intros E [-> | I].
  - pose proof (suml_nonneg l f H). pose proof (H a). lra.
  - apply IH; auto. pose proof (suml_nonneg l f H). pose proof (H b). lra.
Qed.

Section MI.
  Context {X Y : Type} {IY : Integral Y}.
  Variables (xs : list X) (px : X -> R) (cond : X -> Y -> R) (q : Y -> R).
  Hypothesis px_nonneg : forall x, 0 <= px x.
  Hypothesis px_one : suml xs px = 1.
  Hypothesis cond_density : forall x, density (cond x).
  Hypothesis q_density : density q.
  Hypothesis q_pos : forall y, 0 < q y.
  Definition marginal y := suml xs (fun x => px x * cond x y).

  Lemma int_suml (F : X -> Y -> R) (v : X -> R) l :
    (forall x, HasInt (F x) (v x)) -> (exists y0 : Y -> R, HasInt y0 1) ->
    HasInt (fun y => suml l (fun x => px x * F x y)) (suml l (fun x => px x * v x)).
  Proof.
    intros H [y0 H0]. induction l as [|x l IH]; simpl.
    - replace 0 with (0 * 1) by ring.
      eapply int_ext; [exact (int_scal 0 _ _ H0) | intro; simpl; ring].
    - apply int_plus; [now apply int_scal | exact IH].
  Qed.

  Lemma marginal_density : density marginal.
  Proof.
    split.
    - intro y. apply suml_nonneg. intro x.
      apply Rmult_le_pos; [auto | apply cond_density].
    - rewrite <- px_one.
      replace (suml xs px) with (suml xs (fun x => px x * 1))
        by (apply suml_ext_in; intros; ring).
      apply int_suml; [intro x; apply cond_density | exists q; apply q_density].
  Qed.

  (** (3) sum_x p(x) KL(p(.|x)||q) - I(X;Y) = KL(p_Y||q) >= 0. *)
  Theorem mutual_information (kq km : X -> R) :
    (forall x, HasKL (cond x) q (kq x)) ->
    (forall x, HasKL (cond x) marginal (km x)) ->
    let cross := suml xs (fun x => px x * kq x) in
    let info  := suml xs (fun x => px x * km x) in
    HasKL marginal q (cross - info) /\ 0 <= cross - info.
  Proof.
    intros HQ HM cross info.
    assert (K : HasKL marginal q (cross - info)).
    { unfold HasKL.
      assert (W : exists y0 : Y -> R, HasInt y0 1) by (exists q; apply q_density).
      pose proof (int_minus _ _ _ _ (int_suml _ _ xs HQ W) (int_suml _ _ xs HM W)) as D.
      eapply int_ext; [exact D |]. intro y. simpl.
      transitivity (suml xs (fun x => ln (marginal y / q y) * (px x * cond x y))).
      2:{ rewrite suml_scal. unfold kl_term, marginal. ring. }
      replace (suml xs (fun x => px x * kl_term (cond x y) (q y)) -
               suml xs (fun x => px x * kl_term (cond x y) (marginal y)))
        with (suml xs (fun x => px x * kl_term (cond x y) (q y)
                                + (-1) * (px x * kl_term (cond x y) (marginal y))))
        by (rewrite suml_plus, suml_scal; ring).
      apply suml_ext_in. intros x Hx. unfold kl_term.
      assert (C0 : forall x, 0 <= px x * cond x y)
        by (intro x'; apply Rmult_le_pos; [auto | apply cond_density]).
      destruct (Req_dec (px x * cond x y) 0) as [E | N].
      { transitivity (px x * cond x y * (ln (cond x y / q y) - ln (cond x y / marginal y)));
        [ring | rewrite E; ring]. }
      assert (C : 0 < cond x y).
      { destruct (proj1 (cond_density x) y) as [h | h]; [exact h |].
        exfalso; apply N; rewrite <- h; ring. }
      assert (M : 0 < marginal y).
      { destruct (proj1 marginal_density y) as [h | h]; [exact h |]. exfalso. apply N.
        apply (suml_zero_in xs (fun x => px x * cond x y) x C0); [| exact Hx].
        now symmetry. }
      pose proof (q_pos y). midpo. }
    split; [exact K |].
    apply (gibbs marginal q); auto using marginal_density.
  Qed.
End MI.

(* ------------------------------------------------------------------ *)
(** * 4. Instances *)

(** Finite sets: sums over a list. *)
#[export] Program Instance finite_integral {Y} (l : list Y) : Integral Y :=
  { HasInt f v := suml l f = v }.
Next Obligation. apply suml_plus. Qed.
Next Obligation. apply suml_scal. Qed.
Next Obligation. now apply suml_le. Qed.

(** Countable sets: convergent series. *)
Program Definition series_integral : Integral nat :=
  {| HasInt f v := Un_cv (fun n => sumn n f) v |}.
Next Obligation.
  intros eps He. destruct (CV_plus _ _ _ _ H H0 eps He) as [N HN].
  exists N. intros n Hn. rewrite sumn_plus. now apply HN.
Qed.
Next Obligation.
  assert (C : Un_cv (fun _ => c) c).
  { intros eps He. exists 0%nat. intros. unfold R_dist. rewrite Rminus_diag_eq, Rabs_R0; auto. }
  intros eps He. destruct (CV_mult _ _ _ _ C H eps He) as [N HN].
  exists N. intros n Hn. rewrite sumn_scal. now apply HN.
Qed.
Next Obligation.
  refine (Rle_cv_lim _ H H0).
  intro n. induction n; simpl; [lra | pose proof (H1 n); lra].
Qed.

(** Finite statements, spelt out with sums only. *)
Section Finite.
  Context {Y : Type}.
  Variable ys : list Y.
  #[local] Notation KL := (Midpo.KL ys).
  Definition distr (p : Y -> R) := (forall y, 0 <= p y) /\ suml ys p = 1.

  Theorem gibbs_finite p q : distr p -> distr q -> (forall y, 0 < q y) -> 0 <= KL p q.
  Proof. intros P Q Qp. now apply (gibbs (IY := finite_integral ys) p q). Qed.

  Theorem gibbs_finite_eq p q : distr p -> distr q -> (forall y, 0 < q y) ->
    KL p q = 0 -> forall y, In y ys -> p y = q y.
  Proof.
    intros [P0 P1] [_ Q1] Qp E y Hy.
    apply kl_term_eq; auto. apply Rminus_diag_uniq.
    apply (suml_zero_in ys (fun y => kl_term (p y) (q y) - (p y - q y)) y); auto.
    - intro u. pose proof (kl_term_ge (p u) (q u) (P0 u) (Qp u)). lra.
    - replace (suml ys (fun y => kl_term (p y) (q y) - (p y - q y)))
        with (KL p q - (suml ys p - suml ys q)); [lra |].
      unfold Midpo.KL, kl_term. clear. induction ys; simpl; lra.
  Qed.

  Variables (b : R) (z r : Y -> R).
  Hypothesis b_pos : 0 < b.
  Hypothesis z_pos : forall y, 0 < z y.
  Hypothesis ys_nonempty : ys <> nil.
  Definition Zfin := suml ys (fun y => z y * exp (b * r y)).
  Definition pstar y := z y * exp (b * r y) / Zfin.
  Definition J (p : Y -> R) := suml ys (fun y => p y * (r y - / b * ln (p y / z y))).

  (** Normalisability is automatic on a finite set. *)
  Lemma Zfin_pos : 0 < Zfin.
  Proof.
    unfold Zfin. destruct ys as [|y l]; [congruence |]. simpl.
    assert (T : forall y, 0 < z y * exp (b * r y))
      by (intro; apply Rmult_lt_0_compat; [auto | apply exp_pos]).
    pose proof (T y). assert (0 <= suml l (fun y => z y * exp (b * r y)));
    [apply suml_nonneg; intro; left; auto | lra].
  Qed.

  Theorem pstar_distr : distr pstar.
  Proof.
    exact (opt_density (IY := finite_integral ys) b Zfin z r Zfin_pos z_pos eq_refl).
  Qed.

  Theorem gap_finite p : distr p ->
    J pstar - J p = / b * KL p pstar /\ 0 <= / b * KL p pstar.
  Proof.
    intro P.
    destruct (gap (IY := finite_integral ys) b Zfin z r b_pos Zfin_pos z_pos eq_refl
                  p (J p) (J pstar) P eq_refl eq_refl) as (k & K & G & N).
    assert (E : k = KL p pstar) by (symmetry; exact K).
    rewrite <- E, <- G. now split.
  Qed.

  (** The maximiser is unique on the set. *)
  Theorem pstar_unique p : distr p -> J p = J pstar -> forall y, In y ys -> p y = pstar y.
  Proof.
    intros P E. destruct (gap_finite p P) as [G _]. apply gibbs_finite_eq; auto.
    - apply pstar_distr.
    - intro y. apply (opt_pos b Zfin z r Zfin_pos z_pos).
    - rewrite E in G. assert (H : b * (/ b * KL p pstar) = 0) by (rewrite <- G; ring).
      rewrite <- Rmult_assoc, Rinv_r, Rmult_1_l in H; lra.
  Qed.
End Finite.

(** (3) spelt out for finite sets. *)
Theorem mutual_information_finite {X Y} (xs : list X) (ys : list Y) px cond q :
  (forall x, 0 <= px x) -> suml xs px = 1 -> (forall x, distr ys (cond x)) ->
  distr ys q -> (forall y, 0 < q y) ->
  let pY := marginal xs px cond in
  let info := suml xs (fun x => px x * KL ys (cond x) pY) in
  suml xs (fun x => px x * KL ys (cond x) q) - info = KL ys pY q /\ 0 <= KL ys pY q.
Proof.
  intros P0 P1 C Q Qp pY info.
  destruct (mutual_information (IY := finite_integral ys) xs px cond q P0 P1 C Q Qp
              (fun x => KL ys (cond x) q) (fun x => KL ys (cond x) pY)
              (fun x => eq_refl) (fun x => eq_refl)) as [K N].
  assert (E : KL ys pY q = suml xs (fun x => px x * KL ys (cond x) q) - info) by exact K.
  rewrite E. now split.
Qed.

(** Gibbs, the gap and mutual information spelt out for countable sets: each sum is a
    convergent series over nat.                                                      *)
Section Countable.
  #[local] Existing Instance series_integral.
  #[local] Notation Sums f v := (Un_cv (fun n => sumn n f) v).
  Let mass (p : nat -> R) : Prop := (forall y, 0 <= p y) /\ Sums p 1.

  Theorem gibbs_countable (p q : nat -> R) k :
    mass p -> mass q -> (forall y, 0 < q y) ->
    Sums (fun y => p y * ln (p y / q y)) k -> 0 <= k.
  Proof. intros P Q Qp K. exact (gibbs p q k P Q Qp K). Qed.

  Theorem gap_countable (b Z : R) (z r p : nat -> R) v vopt :
    0 < b -> 0 < Z -> (forall y, 0 < z y) -> Sums (fun y => z y * exp (b * r y)) Z ->
    mass p -> Sums (fun y => p y * (r y - / b * ln (p y / z y))) v ->
    Sums (fun y => opt b Z z r y * (r y - / b * ln (opt b Z z r y / z y))) vopt ->
    exists k, Sums (fun y => p y * ln (p y / opt b Z z r y)) k
      /\ vopt - v = / b * k /\ 0 <= vopt - v.
  Proof.
    intros B Zp zp Zis P V VO. exact (gap b Z z r B Zp zp Zis p v vopt P V VO).
  Qed.

  Theorem mutual_information_countable {X} (xs : list X) px (cond : X -> nat -> R) q kq km :
    (forall x, 0 <= px x) -> suml xs px = 1 -> (forall x, mass (cond x)) ->
    mass q -> (forall y, 0 < q y) ->
    (forall x, Sums (fun y => cond x y * ln (cond x y / q y)) (kq x)) ->
    (forall x, Sums (fun y => cond x y * ln (cond x y / marginal xs px cond y)) (km x)) ->
    let excess := suml xs (fun x => px x * kq x) - suml xs (fun x => px x * km x) in
    Sums (fun y => marginal xs px cond y * ln (marginal xs px cond y / q y)) excess
    /\ 0 <= excess.
  Proof.
    intros P0 P1 C Q Qp HQ HM.
    exact (mutual_information xs px cond q P0 P1 C Q Qp kq km HQ HM).
  Qed.
End Countable.
